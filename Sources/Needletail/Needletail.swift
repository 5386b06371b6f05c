// The umbrella: `import Needletail` brings everything.
@_exported public import NeedletailData
@_exported public import NeedletailNN
@_exported public import NeedletailOptim
@_exported public import NeedletailTensor
@_exported public import NeedletailTrainer
