// The one error of configuration files.

/// A configuration file that is not one, or says what no option can mean.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    package enum Problem: Sendable {
        /// The file cannot be read, or is neither YAML nor JSON.
        case file
        /// It is, and its content makes no sense.
        case content
    }

    /// What is wrong.
    package let problem: Problem
    /// Place, what was found and what was expected, in one line.
    package let description: String

    init(_ problem: Problem, _ place: String, _ message: String) {
        self.problem = problem
        description = "--config \(place): \(message)"
    }
}
