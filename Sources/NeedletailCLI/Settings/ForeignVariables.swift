// Variables that begin like the command's own and set no option: those of others, and slips of the finger.

/// Says what unknown variables may have been meant for. They change nothing: Kubernetes sets some of them in every container of a
/// name space with a service called "needletail".
enum ForeignVariables {
    /// One warning for the variables that look like none of the allowed ones, and one for each that looks like a slip.
    static func warnings(_ unknown: [String], allowed: Set<String>) -> [String] {
        var foreign: [String] = [], warnings: [String] = []
        for name in unknown.sorted() {
            guard let meant = nearest(name, among: allowed) else {
                foreign.append(name)
                continue
            }
            warnings.append("the environment variable \(name) sets no option and is left alone; was \(meant) meant?")
        }
        guard !foreign.isEmpty else { return warnings }
        let effect =
            foreign.count == 1
            ? "variable \(foreign[0]) sets no option and changes"
            : "variables \(foreign.joined(separator: ", ")) set no option and change"
        return warnings + ["the environment \(effect) nothing"]
    }

    /// The allowed name that was probably meant; nil where none is near.
    static func nearest(_ name: String, among allowed: Set<String>) -> String? {
        if isOfKubernetes(name) { return nil }
        let own = letters(name)
        let near = allowed.sorted().map { ($0, distance(own, letters($0))) }.min { $0.1 < $1.1 }
        // Of a short name, more than a third changed is another word.
        guard let (meant, edits) = near, edits <= 2, edits * 3 <= own.count else { return nil }
        return meant
    }

    /// Whether it is what Kubernetes and Docker's links call an address of a service.
    private static func isOfKubernetes(_ name: String) -> Bool {
        name.firstMatch(
            of: /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/)
            != nil
    }

    /// The part after the prefix without underscores, in capitals: `batchsize` and `BATCH_SIZE` are one.
    private static func letters(_ name: String) -> [UInt8] {
        name.uppercased().dropFirst(OptionCatalog.prefix.count).utf8.filter { $0 != UInt8(ascii: "_") }
    }

    /// How many letters must be added, left out, replaced or exchanged with their neighbour.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[i - 1][j - 1] + 1) }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
