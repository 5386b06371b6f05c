// An autopsy in words: where, what, and what to do about it.
import Foundation

extension Autopsy: CustomStringConvertible {
    /// Where the value arose, what it is, and what to do, a line each.
    public var description: String { text(naming: [:]) }

    /// The same, with the options' names in `names` and the library's for others.
    public func text(naming names: [String: String]) -> String {
        var lines = ["where: epoch \(epoch), batch \(batch)" + (finding.map { ", " + $0.place } ?? "")]
        lines.append("what:  " + (finding?.explanation ?? "nothing non-finite was met when the batch was run again"))
        if let scale { lines.append("scale: the loss was multiplied by \(short(scale)) before backward") }
        if let parameter { lines.append("first non-finite gradient: \(parameter)") }
        for (index, line) in steps.enumerated() {
            lines.append((index == 0 ? "try:   " : "       ") + line.text(naming: names))
        }
        return lines.joined(separator: "\n")
    }

    /// What to do, most promising first.
    public var advice: [String] { steps.map(\.description) }

    private var steps: [OptionText] {
        guard let finding else {
            return [
                "set \(option: "detectAnomaly"), which checks the step itself: this training step does not give the same numbers twice"
            ]
        }
        let range: [OptionText] = finding.type == .float16 ? ["use bf16-mixed: it has float32's range"] : []
        let smaller: [OptionText] = ["lower the learning rate, or clip gradients: large weights make large values"]
        switch finding.origin {
        case .input:
            let large: [OptionText] =
                finding.type == .float16 ? ["normalise inputs: values from 65520 on become infinite in float16"] : []
            return [
                "look at the data: the batch's inputs hold \(short(finding.value)) at \(finding.position); repair it or leave it out"
            ] + large
        case .parameter:
            return ["lower the learning rate, or clip gradients, and go on from a checkpoint before this"] + range
        case .forward:
            return finding.leavesDomain
                ? [finding.domainAdvice] : [finding.float32Advice].compactMap { $0 } + range + smaller
        case .backward:
            var advice: [OptionText] = []
            if let scale, scale > 1 { advice.append("lower the initial loss scale: below \(short(scale))") }
            return advice + [finding.float32Advice].compactMap { $0 } + range + smaller
        }
    }
}

extension Autopsy.Finding {
    /// Such as "layer 'head', operation linear, forward".
    fileprivate var place: String {
        let own = "the training step's own code" + (previousLayer.map { " after layer '\($0)'" } ?? "")
        return
            "\(layer.map { "layer '\($0)'" } ?? own), operation \(operation), \(origin == .backward ? "backward" : "forward")"
    }

    /// What the value is and how large its neighbours are.
    fileprivate var explanation: String {
        let limit = "the limit of \(type) is \(short(limit))"
        let tensor = "\(type) \(shape)"
        switch origin {
        case .input: return "the batch's inputs (\(tensor)) hold \(short(value)) at \(position)"
        case .parameter(let name):
            return
                "\(name) (\(tensor)) holds \(short(value)) at \(position); its largest stored magnitude is \(short(largest)), \(limit)"
        case .forward, .backward:
            let subject = origin == .forward ? "the result" : "a gradient that it passes on"
            return "\(subject) (\(tensor)) holds \(short(value)) at \(position); "
                + "the largest finite magnitude there is \(short(largest)), in what it reads \(short(largestInput)), \(limit)"
        }
    }

    /// Whether the operation has no finite result for some finite arguments, such as log at 0.
    fileprivate var leavesDomain: Bool { ["log", "sqrt", "divide", "pow"].contains(operation) && largest < limit / 4 }

    fileprivate var domainAdvice: OptionText {
        "keep the argument of \(operation) away from where it has no finite value (clamp it, add a small number); "
            + "for a loss, take crossEntropy or logSoftmax of the logits"
    }

    fileprivate var float32Advice: OptionText? {
        guard type == .float16 else { return nil }
        guard let layer else { return "compute it in float32: cast(to: .float32) before \(operation)" }
        let override = "\(option: "precisionOverrides") '\(layer).*=float32'" as OptionText
        return """
            keep this layer in float32: \
            \(inCode: "precisionOverrides = [\"\(layer).*\": .float32]", elsewhere: override)
            """
    }
}

/// A number with at most five digits; "nan" whatever its sign.
func short(_ value: Double) -> String { value.isNaN ? "nan" : String(format: "%.5g", value) }
