// Watches a training step for the first non-finite value, and remembers where it arose.
import NeedletailNN
import NeedletailTensor

/// Finds the first operation whose result, or gradient, has a kind of non-finite value that nothing it reads has.
///
/// A mask of -inf (a constant, or chosen by `where`) is thus passed over, and a NaN made of it is found.
/// `@unchecked Sendable`: it is made, called and read by the one thread that runs the step.
final class AutopsyObserver: GraphObserver, @unchecked Sendable {
    /// The first non-finite value, as far as it has been met.
    private(set) var finding: Autopsy.Finding?
    /// Index and loss of the batch that is watched.
    private(set) var batch = 0, loss = Double.nan
    private let module: Module
    private var moduleNames: [ObjectIdentifier: String] = [:]
    private var parameters: [ObjectIdentifier: (name: String, parameter: Parameter)] = [:]
    /// The batch's inputs and copies of them: kept, so that their identities stay taken.
    private var inputs: [ObjectIdentifier: Tensor] = [:]
    private var running: [String] = []
    private var previousLayer: String?
    private var places: [UInt64: (layer: String?, previousLayer: String?)] = [:]
    /// The first non-finite result that may be one that is meant to be, such as a mask.
    private var suspect: Autopsy.Finding?

    init(_ module: Module) {
        self.module = module
        for (name, module) in module.namedModules() { moduleNames[ObjectIdentifier(module)] = name }
        for named in module.namedParameters() { parameters[named.parameter.value.storageIdentity] = named }
    }

    /// Whether the first non-finite value arose before backward.
    var hasForwardFinding: Bool { finding.map { $0.origin != .backward } ?? false }

    /// Before a batch: `inputs` are what the batch brings.
    func begin(_ inputs: Tensor, index: Int) {
        guard finding == nil else { return }
        batch = index
        self.inputs = [inputs.storageIdentity: inputs]
        places = [:]
        (suspect, previousLayer) = (nil, nil)
    }

    /// Forgets what was found: the batch counts for nothing.
    func forget() { (finding, suspect) = (nil, nil) }

    /// Between forward and backward.
    func finishForward(loss: Tensor) {
        if finding == nil || !self.loss.isFinite { self.loss = loss.item() }
        if finding == nil, !loss.item().isFinite { finding = suspect }
    }

    func enter(_ module: AnyObject) {
        running.append(moduleNames[ObjectIdentifier(module)] ?? "\(type(of: module))")
    }

    func leave() {
        previousLayer = running.popLast()
    }

    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?) {
        let place = place(inputs)
        if let sequence { places[sequence] = place }
        guard finding == nil, output.dtype.isFloatingPoint else { return }
        if !computed, let input = inputs.first, self.inputs[input.storageIdentity] != nil {
            self.inputs[output.storageIdentity] = output
        }
        guard computed, finiteCheck(output).firstNonFinite != nil else { return }
        let read = inputs.filter(\.dtype.isFloatingPoint).map { (tensor: $0, extremes: Extremes($0)) }
        for (tensor, extremes) in read where extremes.first != nil {
            let origin: Autopsy.Origin
            var largest = extremes.largest
            if let (name, parameter) = parameters[tensor.storageIdentity] {
                origin = .parameter(name)
                largest = Extremes(parameter.master).largest
            } else if self.inputs[tensor.storageIdentity] != nil {
                origin = .input
            } else {
                continue
            }
            finding = makeFinding(origin, place, operation, tensor, extremes, largest: largest, read: extremes.largest)
            return
        }
        let made = Extremes(output)
        let largestRead = read.map(\.extremes.largest).max() ?? 0
        let found = makeFinding(
            .forward, place, operation, output, made, largest: made.largest, read: largestRead)
        if made.isNew(beside: read.map(\.extremes)) { finding = found } else if suspect == nil { suspect = found }
    }

    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {
        guard finding == nil else { return }
        let place = places[sequence] ?? (nil, nil)
        for tensor in received where finiteCheck(tensor).firstNonFinite != nil {
            let extremes = Extremes(tensor)
            finding = makeFinding(
                .backward, place, operation, tensor, extremes, largest: extremes.largest,
                read: Extremes(gradient).largest)
            return
        }
    }

    /// The innermost layer that runs, else the one whose parameter is read.
    private func place(_ inputs: [Tensor]) -> (layer: String?, previousLayer: String?) {
        if let layer = running.last { return (layer, nil) }
        for input in inputs {
            guard let name = parameters[input.storageIdentity]?.name else { continue }
            return (name.lastIndex(of: ".").map { String(name[..<$0]) }, previousLayer)
        }
        return (nil, previousLayer)
    }

    private func makeFinding(
        _ origin: Autopsy.Origin, _ place: (layer: String?, previousLayer: String?), _ operation: StaticString,
        _ tensor: Tensor, _ extremes: Extremes, largest: Double, read: Double
    ) -> Autopsy.Finding? {
        guard let first = extremes.first else { return nil }
        var rest = first.index
        let position = tensor.shape.reversed().map { size in
            defer { rest /= size }
            return rest % size
        }
        return Autopsy.Finding(
            origin: origin, layer: place.layer, previousLayer: place.layer == nil ? place.previousLayer : nil,
            operation: "\(operation)", type: tensor.dtype, shape: tensor.shape, position: position.reversed(),
            value: first.value, largest: largest, largestInput: read)
    }
}

/// Runs `body`, watched where there is an observer.
func watched<Result>(by observer: AutopsyObserver?, _ body: () throws -> Result) rethrows -> Result {
    guard let observer else { return try body() }
    return try observing(observer, body)
}
