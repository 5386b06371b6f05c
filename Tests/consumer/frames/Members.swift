// Members of a module.
import Needletail

private final class Fragment: TrainingModule {
    let classWeights: [Double] = []

    // fragment
}
