// Patterns over dotted names, such as `head.*`.

/// Whether `name` matches `pattern`, where `*` stands for any characters (dots too) and `?` for exactly one.
package func matches(_ name: String, pattern: String) -> Bool {
    let name = Array(name), pattern = Array(pattern)
    var n = 0, p = 0
    var star: Int? = nil, resume = 0
    while n < name.count {
        if p < pattern.count, pattern[p] == "?" || (pattern[p] == name[n] && pattern[p] != "*") {
            n += 1
            p += 1
        } else if p < pattern.count, pattern[p] == "*" {
            star = p
            resume = n
            p += 1
        } else if let star {
            resume += 1
            n = resume
            p = star + 1
        } else {
            return false
        }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
}
