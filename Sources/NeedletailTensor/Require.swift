// Programmer errors (shapes, types, ranges): `precondition` drops its message in release builds, so they stop here.

/// Stops the program with a message that says what was found and what was expected, in every build.
@inline(__always)
package func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    if !condition { fatalError(message(), file: file, line: line) }
}
