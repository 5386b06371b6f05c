// Configuration files that are no mapping of options, or more than they seem. What options make of values is in SettingsTests.

extension MalformedFile {
    private static func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    /// Nine levels of nine aliases each: 9^9 values in a few lines; `end` puts the last level somewhere.
    private static func laughs(_ end: String) -> String {
        "data: &a [x]\n"
            + "bcdefghij".reduce(into: ("", "a" as Character)) { text, name in
                text = (text.0 + "\(name): &\(name) [\(repeated("*\(text.1), ", 8))*\(text.1)]\n", name)
            }.0 + end
    }

    private static func bytes(_ name: String, _ bytes: [UInt8], _ says: String) -> MalformedFile {
        MalformedFile(reader: .configuration, name: name, bytes: { bytes }, says: says)
    }

    private static func text(_ name: String, _ text: String, _ says: String) -> MalformedFile {
        bytes(name, Array(text.utf8), says)
    }

    static let configuration: [MalformedFile] = [
        text("billion laughs", laughs("keep: *j"), "an anchor (&) and an alias (*)"),
        text("billion laughs as a key", laughs("? *j\n: 1"), "an anchor (&) and an alias (*)"),
        text("billion laughs in one line", "{a: &a [x],b: &b [*a,*a],keep:*b}", "an anchor (&) and an alias (*)"),
        text("a key that is an alias", "? &a epochs\n: 1\n? *a\n: 2", "an anchor (&) and an alias (*)"),
        text("merged keys", "data: &a {epochs: 1}\n<<: *a", "an anchor (&) and an alias (*)"),
        text("an anchor that holds itself", "&a [*a]", "an anchor (&) and an alias (*)"),
        text("an alias of nothing", "keep: *a", "undefined alias"),
        text("30,000 arrays", "keep: " + repeated("[", 30_000), "Maximum nesting level"),
        text("30,000 arrays that end", repeated("[", 30_000) + repeated("]", 30_000), "Maximum nesting level"),
        text("30,000 objects", repeated("{a: ", 15_000), "Maximum nesting level"),
        text("30,000 keys that are objects", repeated("{? ", 20_000), "Maximum nesting level"),
        text("30,000 lists in a line", repeated("- ", 30_000), "Maximum nesting level"),
        text("30,000 complex keys in a line", repeated("? ", 30_000), "Maximum nesting level"),
        text("340 levels by indentation", (0..<340).map { repeated(" ", $0) + "a:\n" }.joined(), "found 'a'"),
        text(
            "999 levels, read to their end", "keep: " + repeated("[", 998) + repeated("]", 998),
            "a list within the list"
        ),
        text("a key twice", "epochs: 1\nepochs: 2", "duplicated key"),
        text("a key twice, once quoted", "epochs: 1\n\"epochs\": 2", "duplicated key"),
        text("a key twice, once escaped", "{\"epochs\": 1, \"\\x65pochs\": 2}", "duplicated key"),
        text("a key twice, once of another type", "epochs: 1\n!!binary epochs: 2", "found epochs twice"),
        text("a key of another spelling", "Epochs: 1", "found 'Epochs', expected one of data, epoch-size, epochs"),
        text("a number as a key", "1: 1", "found '1'"),
        text("null as a key", "~: 1", "found '~'"),
        text("nothing as a key", "\"\": 1", "found ''"),
        text("an array as a key", "? [epochs]\n: 1", "a key that is no word"),
        text("a mapping as a value", "epochs: {a: 1}", "a mapping under epochs"),
        text("a list in a list", "keep: [[a]]", "a list within the list of keep"),
        text("a mapping in a list", "keep: [a: 1]", "a list within the list of keep"),
        text("a list", "- epochs\n- 3", "found no mapping"),
        text("a word", "epochs", "found no mapping"),
        text("two documents", "epochs: 1\n---\nepochs: 2", "single document"),
        text("a tab as indentation", "keep:\n\t- a", "neither YAML nor JSON"),
        text("a value that never ends", "keep: \"a", "neither YAML nor JSON"),
        text("an unknown escape", "keep: \"\\y\"", "neither YAML nor JSON"),
        text("half a surrogate pair", "keep: \"\\ud800\"", "neither YAML nor JSON"),
        text("a zero byte", "keep: \"a\\0b\"", "a zero byte in the value of keep"),
        text("a zero byte in a list", "keep: [a, \"\\0\"]", "a zero byte in the value of keep"),
        text("a raw zero byte", "keep: a\0b", "neither YAML nor JSON"),
        text("YAML of version 9", "%YAML 9.0\n---\nepochs: 1", "neither YAML nor JSON"),
        text("a key of 60,000 bytes", repeated("a", 60_000) + ": 1", "neither YAML nor JSON"),
        text("a quoted key of 1,000 bytes", "\"\(repeated("a", 1000))\": 1", "found 'aaaa"),
        text("a key of combining marks", "? \"a\(repeated("\u{301}\u{323}", 15_000))\"\n: 1", "expected one of data"),
        text(
            "two keys of combining marks",
            "{? \"a\(repeated("\u{301}\u{323}", 8000))\" : 1, ? \"a\(repeated("\u{323}\u{301}", 8000))\" : 2}",
            "neither YAML nor JSON"
        ),
        text("10,000 keys", (0..<9000).map { "k\($0):\n" }.joined(), "found 'k0'"),
        text("20,000 times the same key", "{\(repeated("a,", 30_000))}", "duplicated key"),
        text("a value of 16 MB", "keep: " + repeated("a", 16 << 20), "expected at most 65536"),
        text("16 MB of arrays", "keep: " + repeated("[", 16 << 20), "expected at most 65536"),
        bytes("text that is not UTF-8", Array("keep: ".utf8) + [0xC0, 0x80], "not UTF-8"),
        bytes("half a character", Array("keep: ".utf8) + [0xE2, 0x82], "not UTF-8"),
        bytes("Latin-1", Array("data: caf".utf8) + [0xE9], "not UTF-8"),
        bytes("UTF-16", [0xFF, 0xFE] + Array("epochs: 1".utf8).flatMap { [$0, 0] }, "not UTF-8"),
        bytes("UTF-16 without its mark", Array("epochs: 1".utf8).flatMap { [$0, 0] }, "neither YAML nor JSON"),
    ]
}
