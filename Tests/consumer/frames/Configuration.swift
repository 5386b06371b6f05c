// What a trainer's configuration closure holds.
import Needletail
import NeedletailTensorBoard

private func fragment(train: DataLoader) -> Trainer {
    Trainer(maxEpochs: 1) {
        // fragment
    }
}
