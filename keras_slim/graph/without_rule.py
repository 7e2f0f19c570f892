"""Why some layers of Keras and operations of `keras.ops` have no rule: what they compute leaves no unit to hand on."""

REASONS = {
    "it mixes red, green and blue": """
        AugMix ContrastLimitedAdaptiveHistogramEqualization RandAugment RandomColorDegeneration RandomColorJitter
        RandomGrayscale RandomHue RandomSaturation ops.HSVToRGB ops.RGBToGrayscale ops.RGBToHSV
    """,
    "it makes features out of numbers, texts or boxes": """
        CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup MaxNumBoundingBoxes StringLookup
        TextVectorization ops.Bincount ops.Digitize ops.Histogram ops.MultiHot ops.OneHot
    """,
    "it turns signals into spectra, or back": """
        MelSpectrogram STFTSpectrogram ops.ExtractSequences ops.FFT ops.FFT2 ops.IFFT2 ops.IRFFT ops.ISTFT ops.RFFT
        ops.STFT ops.ViewAsComplex ops.ViewAsReal
    """,
    "it runs code that cannot be read": """
        FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper ops.AssociativeScan ops.Cond ops.ForiLoop ops.Function
        ops.JVP ops.Map ops.Scan ops.Switch ops.VectorizedMap ops.WhileLoop
    """,
    "it divides the kernel by a norm over all units": "SpectralNormalization",
    "its kernel is an argument": "ops.Conv ops.ConvTranspose ops.DepthwiseConv ops.SeparableConv",
    "it is a loss or a measure": """
        ops.AllClose ops.BinaryCrossentropy ops.CTCDecode ops.CTCLoss ops.CategoricalCrossentropy ops.InTopK ops.PSNR
        ops.SSIM ops.SparseCategoricalCrossentropy
    """,
    "it works on whole matrices": """
        ops.CDist ops.Cholesky ops.CholeskyInverse ops.Corrcoef ops.Correlate ops.Cross ops.Det ops.Diag ops.Diagflat
        ops.Diagonal ops.Eig ops.Eigh ops.Inv ops.Kron ops.Logdet ops.Lstsq ops.LuFactor ops.MatrixRank ops.Outer
        ops.Pinv ops.Qr ops.SVD ops.Slogdet ops.Solve ops.SolveTriangular ops.Trace ops.Tril ops.Triu ops.Vander
        ops.Vdot
    """,
    "where it reads or writes depends on values": """
        ops.IsIn ops.MapCoordinates ops.Nonzero ops.Scatter ops.ScatterUpdate ops.SearchSorted ops.SegmentMax
        ops.SegmentMin ops.SegmentProd ops.SegmentReduction ops.SegmentSum ops.SliceUpdate ops.TakeAlongAxis
        ops.Unique ops.UnravelIndex
    """,
    "it mixes all along an axis": "ops.Nanpercentile ops.Nanquantile ops.Percentile ops.Quantile ops.Trapezoid",
    "a shape or a pattern is its argument": """
        ops.Arange ops.Full ops.Geomspace ops.Linspace ops.Logspace ops.Meshgrid ops.Ndim ops.Rearrange
        ops.ScaleAndTranslate ops.Size ops.View
    """,
}
"""From a reason to names, those of operations as in `register_rule`."""

REASON_OF = {name: reason for reason, names in REASONS.items() for name in names.split()}
"""From a name to the reason."""
