// Whether a mode stores what it says: in the mixed modes masters that 16 bits could not hold, in the true ones nothing else.
import Foundation
import Needletail
import Testing

@Suite struct MasterWeightTests {
    /// After a few steps most float32 masters lie between two 16-bit values, and what layers read is their rounding; in the true
    /// modes each stored value is a 16-bit one.
    @Test(arguments: [Precision.mixedBFloat16, .mixedFloat16, .bfloat16, .float16])
    func onlyTheMixedModesKeepMoreThanSixteenBits(_ precision: Precision) throws {
        let module = TinyClassifier()
        let trainer = Trainer(maxEpochs: 3, precision: precision) {
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.lossScale = .dynamic(initial: 256)
        }
        try trainer.fit(module, train: DataLoader(TinyData(), batchSize: 4))
        #expect(trainer.state.globalStep == 9)
        let type: DType = [.mixedBFloat16, .bfloat16].contains(precision) ? .bfloat16 : .float16
        let isMixed = [.mixedBFloat16, .mixedFloat16].contains(precision)
        var finer = 0, count = 0
        for parameter in module.parameters() {
            let master = parameter.master, rounded = master.cast(to: type)
            #expect(master.dtype == (isMixed ? .float32 : type))
            #expect(parameter.value.detached().bytes == rounded.bytes)
            let (exact, near) = (master.scalars(as: Double.self), rounded.scalars(as: Double.self))
            finer += zip(exact, near).filter { $0 != $1 }.count
            count += exact.count
        }
        #expect(isMixed ? finer > count / 2 : finer == 0, "\(finer) of \(count)")
    }
}
