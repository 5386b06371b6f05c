// CSIMD: 16-bit storage with float32 arithmetic on CPUs. The one public header: types, then one section a kernel family.
// Conventions of every function: matrices are row-major, sizes are size_t and may be zero, strides count elements,
// maxima start at -INFINITY, results are bit for bit the same for any thread count, floating-point modes of the host
// are left as they were found. Functions that can refuse return csimd_status and then have written nothing.
#ifndef CSIMD_H
#define CSIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Types

// IEEE binary16 and bfloat16 as storage. Distinct structs, so that mixing them does not compile.
typedef struct {
    uint16_t bits;
} csimd_f16;
typedef struct {
    uint16_t bits;
} csimd_bf16;

typedef enum { CSIMD_F32 = 0, CSIMD_F16 = 1, CSIMD_BF16 = 2, CSIMD_F64 = 3 } csimd_type;

typedef enum {
    CSIMD_OK = 0,
    CSIMD_INVALID_ARGUMENT = 1,  // a size, stride, type or option outside its documented range
    CSIMD_OUT_OF_MEMORY = 2,     // scratch memory could not be had
    CSIMD_BAD_TARGET = 3         // a class index outside [0, columns); its row is reported
} csimd_status;

// ---------------------------------------------------------------------------------------------------------------------
// Dispatch: one row of kernels an instruction set, best first; the last row is the complete reference, "ref".

size_t csimd_row_count(void);
const char *csimd_row_name(size_t row);
bool csimd_row_supported(size_t row);  // by the CPU and by the operating system (xgetbv)

// The row used by calls from this thread: the best supported one, capped by the environment variable CSIMD_ISA
// (a row's name; it may lower the choice, never raise it), unless csimd_set_thread_row has chosen another.
size_t csimd_active_row(void);

// Chooses a row for calls from the calling thread; -1 goes back to the default. Refuses a row that is not supported.
csimd_status csimd_set_thread_row(ptrdiff_t row);

// The kernel families in a fixed order, and the row that calls from this thread take each family's kernels from: the active
// one, or a later one where the active row has no better kernels of its own.
size_t csimd_family_count(void);
const char *csimd_family_name(size_t family);
size_t csimd_family_row(size_t family);

// How products of two bf16 matrices are computed: widened to float32, as all other mixes are, by the CPU's own bf16 dot
// product (CSIMD_NATIVE), or by its matrix tiles (CSIMD_AMX); results differ in their last bits. What decides, the first that
// has a say: csimd_set_thread_bf16_gemm, the environment variable CSIMD_BF16_GEMM (widen, native or amx), a measurement of
// about 2 ms at the first such product (docs/decisions/0003), which knows widen and native only. None is chosen where the CPU
// or the active row has no such kernel.
typedef enum { CSIMD_WIDEN = 0, CSIMD_NATIVE = 1, CSIMD_AMX = 2 } csimd_bf16_gemm;
csimd_bf16_gemm csimd_active_bf16_gemm(void);

// For calls from the calling thread; -1 goes back to the default. Refuses what needs instructions that the CPU does not have.
csimd_status csimd_set_thread_bf16_gemm(int choice);

// Whether a row has a native kernel that this machine can run.
bool csimd_row_has_native_bf16(size_t row);

// What the choice rests on: who decided, and the FLOP/s of both micro-kernels of the best row, 0 where that row has but one
// or nothing was measured.
typedef enum {
    CSIMD_BF16_BY_ABSENCE = 0,  // there is one kernel only
    CSIMD_BF16_BY_MEASUREMENT = 1,
    CSIMD_BF16_BY_ENVIRONMENT = 2,
    CSIMD_BF16_BY_THREAD = 3
} csimd_bf16_reason;
csimd_bf16_reason csimd_bf16_gemm_reason(void);

// Measures anew, in about 2 ms: FLOP/s of the widening and of the native micro-kernel on one tile in L1. False, and nothing
// written, where there is no native kernel. The measured choice is native from `CSIMD_BF16_MARGIN` times the widening rate.
#define CSIMD_BF16_MARGIN 1.4
bool csimd_measure_bf16_gemm(double *widening, double *native);

// How products of two f16 matrices are summed: in float32 (0, the default), or in float16 for at most CSIMD_CHUNK products at a
// time, each of these sums then added to a float32 one. Chunks are less exact and overflow at 65520 (docs/numerics.md); they
// need a CPU with AVX512_FP16, or the row "ref", which emulates them. Products of at most 16 rows, which wait for memory, keep
// float32 sums. csimd_f16_chunk is 0 on threads whose row has no kernel for it.
enum { CSIMD_CHUNK = 32 };
size_t csimd_f16_chunk(void);

// For calls from the calling thread: 0 or CSIMD_CHUNK. Refuses others, and CSIMD_CHUNK where the thread's row has no kernel for
// it that this CPU can run.
csimd_status csimd_set_thread_f16_chunk(size_t products);
bool csimd_row_has_f16_chunks(size_t row);

// Kernels that need instructions beyond their row's: what they are for, what they need, whether this CPU has it, and whether
// the tests have run on one that does. Untested ones run only where they are asked for.
typedef struct {
    const char *name, *instruction;
    bool supported, tested;
} csimd_special_kernel;
size_t csimd_special_kernel_count(void);
csimd_special_kernel csimd_special_kernel_at(size_t index);

// For tests: lets the calling thread choose kernels whose instructions the CPU lacks; these are emulated, very slowly.
void csimd_set_thread_emulation(bool emulates);

// All that the functions above set for the calling thread, to be put back or carried to another thread.
typedef struct {
    ptrdiff_t row;        // -1: the default
    int bf16_gemm;        // -1: the default
    size_t f16_products;  // in a float16 chunk; 0: float32 sums
    bool emulates;
} csimd_thread_options;
csimd_thread_options csimd_get_thread_options(void);
void csimd_set_thread_options(csimd_thread_options options);

// Runs body(context) on a thread of its own, with 16 MiB of stack and the caller's thread options, and returns once it has
// returned or called csimd_give_up. False, and body not run, where no thread can be had.
bool csimd_run_guarded(void (*body)(void *context), void *context);

// The context of the guarded body that runs on the calling thread, NULL where none does.
void *csimd_guarded_context(void);

// Ends the guarded body that runs on the calling thread: its frames are abandoned, not unwound, so that what they hold is
// never freed and what they have locked stays so.
_Noreturn void csimd_give_up(void);

// Threads used by the drivers, for the whole process, at most 256. Zero (the default) means OMP_NUM_THREADS where that is set,
// else one a CPU of the affinity mask, and no more than the CPUs that csimd_read_limits finds, rounded up.
void csimd_set_thread_count(int count);
int csimd_thread_count(void);

// Why the drivers work on one thread, without OpenMP; NULL where they use it.
const char *csimd_openmp_problem(void);

// What was found wrong with OpenMP's surroundings before its first use, and what was done; NULL where nothing was. It was
// written on standard error then.
const char *csimd_openmp_warning(void);

// What the control groups of this process (Linux: containers, services) allow it.
typedef struct {
    double cpus;           // CPU time a second; INFINITY: no quota
    uint64_t memory;       // the least limit, in bytes; UINT64_MAX: none
    uint64_t memory_free;  // bytes up to the nearest limit; file cache that can be dropped counts as free
    uint64_t memory_used;  // in the group with the least limit, in bytes; 0: no limit
} csimd_limits;

// Reads them below `root`, which is "" but in tests.
csimd_limits csimd_read_limits(const char *root);

// Memory of this process, in bytes.
typedef struct {
    uint64_t total;      // of the machine
    uint64_t limit;      // the least of total, the control groups' limits and the process's own (RLIMIT_AS, RLIMIT_DATA)
    uint64_t available;  // what can still be taken within all of these, without swapping
    uint64_t resident;   // in use
} csimd_memory;
csimd_memory csimd_measure_memory(void);

// CPU features relevant here that the CPU has and the operating system enables, as space-separated names; static storage.
const char *csimd_cpu_features(void);
const char *csimd_cpu_model(void);

// Multiply-add rate of one thread in the active row's widest float32 registers: runs for about `seconds`, returns FLOP/s.
double csimd_measure_fma_peak(double seconds);

typedef enum {
    CSIMD_MEMORY_READ,   // read the block
    CSIMD_MEMORY_COPY,   // copy its first half to its second: half of the bytes are read, half written
    CSIMD_MEMORY_STREAM  // the same with stores past the caches
} csimd_memory_pattern;

// *bytes_per_second = the bytes that one thread reads and writes a second, going over `block` again and again for about
// `seconds` after one pass that does not count. bytes: a multiple of 1024, at least one; block: on a boundary of 64 bytes, of
// readable and writable memory. Copying changes its second half.
csimd_status csimd_measure_bandwidth(csimd_memory_pattern pattern, size_t bytes, void *block, double seconds,
                                     double *bytes_per_second);

// OpenMP runtime's version as yyyymm of the specification it implements (libomp: _OPENMP), and its name.
const char *csimd_openmp_version(void);

// ---------------------------------------------------------------------------------------------------------------------
// Convert

// y[i] = round(x[i]) to the destination's type, for any pair of f32, f16, bf16, f64.
// Rounding: nearest, ties to even; f16 overflows to infinity from 65520, bf16 from bits 0x7F7F8000; subnormals honoured.
// NaN keeps its sign and the top payload bits and becomes quiet. f64 -> 16 bit rounds once (not through float32).
// Aliasing: x == y is allowed where both types have the same size; no other overlap.
// Threading: OpenMP for long arrays.
csimd_status csimd_convert(csimd_type from, const void *x, csimd_type to, void *y, size_t count);

// y[i, j] = round(x[index[i], j] * scale + shift): rows of unsigned bytes, gathered, normalised and converted in one pass.
// Shapes: x [any, row_length] contiguous, index [rows], y [rows, row_length] contiguous of type f32, f16, bf16 or f64.
// The product and sum are formed in float32 with one fused multiply-add (float64 for f64). index == NULL means 0, 1, 2, ...
// Threading: none (it runs on the loader's thread).
csimd_status csimd_gather_normalize_u8(size_t rows, size_t row_length, const uint8_t *x, const int64_t *index, float scale,
                                       float shift, csimd_type to, void *y);

// ---------------------------------------------------------------------------------------------------------------------
// GEMM

typedef enum {
    CSIMD_EPILOGUE_NONE = 0,
    CSIMD_EPILOGUE_RELU = 1,           // c = max(z, 0), NaN kept
    CSIMD_EPILOGUE_GELU = 2,           // c = z Phi(z), exact (erf) form; z is also written to aux unless that is NULL
    CSIMD_EPILOGUE_RELU_GRADIENT = 3,  // c = aux > 0 ? z : 0, aux the forward result
    CSIMD_EPILOGUE_GELU_GRADIENT = 4   // c = z (Phi(aux) + aux phi(aux)), aux the forward pre-activation
} csimd_epilogue;

// One matrix product. op(X) is X or its transpose; with a transpose flag, `a` is stored [k, m] and `b` is stored [n, k].
typedef struct {
    size_t m, n, k;
    float alpha, beta;
    csimd_type a_type, b_type, c_type, bias_type, aux_type;
    bool a_transposed, b_transposed;
    const void *a;
    size_t lda;
    const void *b;
    size_t ldb;
    void *c;
    size_t ldc;
    const void *bias;  // [n], added to every row, or NULL
    csimd_epilogue epilogue;
    void *aux;  // [m, n], see csimd_epilogue, or NULL
    size_t ldaux;
    // batch >= 1 products; product i starts at a + i * a_stride elements and so on (0 shares an operand; c may not be shared).
    size_t batch, a_stride, b_stride, c_stride, aux_stride;
} csimd_gemm_args;

// C = epilogue(alpha op(A) op(B) + beta C + bias), A, B, C, bias, aux each f32, f16 or bf16 in any mix (no f64).
// Shapes: op(A) [m, k], op(B) [k, n], C [m, n]; ld >= the stored width, else CSIMD_INVALID_ARGUMENT and C unchanged.
// Accumulation is float32; the result is rounded once, to nearest even, after the epilogue.
// beta == 0 never reads C; k == 0 gives epilogue(beta C + bias); alpha == 0 never reads A or B; m or n == 0 touches nothing.
// Aliasing: C overlaps neither A nor B. Special values propagate as IEEE arithmetic says.
// Threading: OpenMP over rows or columns of C, never over k.
csimd_status csimd_gemm(const csimd_gemm_args *args);

// ---------------------------------------------------------------------------------------------------------------------
// Convolution (cross-correlation, as in neural networks). Images are channels-last: x [batch, height, width, channels],
// y [batch, output height, output width, output channels]; weights are PyTorch's [output channels, channels / groups, kernel
// height, kernel width].

// Output sizes: (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down. Kernels, strides, dilations and
// groups are at least 1, groups divides both channel counts, and the padded image holds a whole kernel, else
// CSIMD_INVALID_ARGUMENT.
typedef struct {
    size_t batch, height, width, channels, output_channels;
    size_t kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
    size_t dilation_height, dilation_width, groups;
} csimd_conv_shape;
size_t csimd_conv_output_height(const csimd_conv_shape *shape);
size_t csimd_conv_output_width(const csimd_conv_shape *shape);

// What csimd_conv and csimd_conv_input_gradient take: `x` is what is multiplied by the weights, `y` what is written. Types are
// f32, f16 or bf16 in any mix, or f64 for all.
typedef struct {
    csimd_conv_shape shape;  // of the forward operation
    csimd_type x_type, weight_type, y_type, bias_type, aux_type;
    const void *x, *weight;
    const void *bias;  // one element a channel of y, or NULL
    csimd_epilogue epilogue;
    void *aux;  // of y's shape, see csimd_epilogue, or NULL
    void *y;
} csimd_conv_args;

// y[b, i, j, o] = epilogue(bias[o] + sum_{c, u, v} weight[o, c, u, v] x[b, i stride - padding + u dilation,
//                 j stride - padding + v dilation, c of o's group]), x zero outside the image.
// Accumulation is float32 (f64: float64), one rounding after the epilogue. Aliasing: none. The patches that are multiplied are
// gathered as the GEMM packs its operand; scratch grows with 4,096 of them, not with the image. Two bf16 operands take the
// CPU's own dot product where csimd_active_bf16_gemm is CSIMD_NATIVE. Threading: OpenMP over images and bands of rows.
csimd_status csimd_conv(const csimd_conv_args *args);

// The transpose of csimd_conv: x is dy, of the forward result's shape, and y is dx, of the forward input's:
// y[b, h, w, c] = epilogue(bias[c] + the sum of weight[o, c, u, v] x[b, i, j, o] over all (i, j, u, v) that took (h, w)).
// With an epilogue and a bias it is the transposed convolution's forward operation.
csimd_status csimd_conv_input_gradient(const csimd_conv_args *args);

// dw[o, c, u, v] = (accumulate ? dw : 0) + sum_{b, i, j} dy[b, i, j, o] x[b, i stride - padding + u dilation, ..., c].
// dw contiguous as the weights. Sums are float32 over runs of pixels that depend on the shape only, added in order.
csimd_status csimd_conv_weight_gradient(const csimd_conv_shape *shape, csimd_type dy_type, const void *dy, csimd_type x_type,
                                        const void *x, bool accumulate, csimd_type dw_type, void *dw);

// y[b, i, j] = x[b x_stride + j ldx + i]: matrices stored [columns, rows], turned round. Elements of 1, 2, 4 or 8 bytes; y
// contiguous [batch, rows, columns]; ldx at least rows. Aliasing: none. Threading: OpenMP over the batch.
csimd_status csimd_transpose(size_t size, size_t batch, size_t rows, size_t columns, const void *x, size_t x_stride, size_t ldx,
                             void *y);

// ---------------------------------------------------------------------------------------------------------------------
// Pooling of channels-last images x [batch, height, width, channels] to y [batch, output height, output width, channels].

// Window i of an axis is pixels i stride - padding ..< i stride - padding + kernel that are inside; padding is at most half of
// the kernel and output (size + 2 padding - kernel) / stride + 1, rounded down. ADAPTIVE: floor(i size / output) ..<
// ceil((i + 1) size / output); kernel, stride and padding are unused. Else CSIMD_INVALID_ARGUMENT.
typedef enum { CSIMD_POOL_MAX, CSIMD_POOL_AVERAGE, CSIMD_POOL_ADAPTIVE } csimd_pool_kind;
typedef struct {
    csimd_pool_kind kind;
    csimd_type type;  // of all arrays; f64 is summed in float64, all others in float32
    size_t batch, height, width, channels, output_height, output_width;
    size_t kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
    bool counts_padding;  // AVERAGE: sums are divided by the whole kernel's area, not by the pixels inside
} csimd_pool_shape;

// y = the largest of each window, NaN if any is. places, as many as y, says where it was, for the gradient; a kernel has at
// most CSIMD_POOL_AREA elements. Threading: OpenMP over rows.
enum { CSIMD_POOL_AREA = 2048 };
csimd_status csimd_max_pool(const csimd_pool_shape *shape, const void *x, void *y, uint16_t *places);

// dx = the sum of dy over the windows whose maximum was there. y: NULL, or the forward result, where dy counts only if y > 0:
// the derivative of a ReLU whose result was x.
csimd_status csimd_max_pool_gradient(const csimd_pool_shape *shape, const void *dy, const uint16_t *places, const void *y,
                                     void *dx);

// y = the mean of each window, and its transpose.
csimd_status csimd_average_pool(const csimd_pool_shape *shape, const void *x, void *y);
csimd_status csimd_average_pool_gradient(const csimd_pool_shape *shape, const void *dy, void *dx);

// ---------------------------------------------------------------------------------------------------------------------
// Normalisation by statistics of columns: x [instances, rows, channels], values a channel [instances, channels] as float32
// (double for f64; moments always as double). Sums are float32 over 128 rows, those float64 in order. Differences and sums that
// leave float32 are infinite or NaN, but for moments. Threading: OpenMP over such chunks.

// The mean over rows as mean + correction, mean a value of float32 (float64 of f64), and the mean of the squared differences
// from it. rows >= 1, epsilon >= 0: what will be added to the variance, beside which it has to be right.
// Precision: u the roundoff of float32 (float64 for f64): the mean is off by at most 40 u, the variance by 80 u, of the mean
// distance and the variance, at any offset; a constant column has its value and 0. Columns that have no room in float32 are
// done in float64.
csimd_status csimd_moments(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x, double epsilon,
                           double *mean, double *correction, double *variance);

// y = (x - mean) scale + shift, max(0, .) of it if relu. y may be x.
csimd_status csimd_normalize(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x, const void *mean,
                             const void *scale, const void *shift, bool relu, void *y);

// sum = the sum of dy, product = that of dy (x - mean).
csimd_status csimd_normalize_sums(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x,
                                  const void *dy, const void *mean, void *sum, void *product);

// dx = a dy + b (x - mean) + k. dx may be dy or x.
csimd_status csimd_normalize_gradient(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x,
                                      const void *dy, const void *mean, const void *a, const void *b, const void *k, void *dx);

// ---------------------------------------------------------------------------------------------------------------------
// Softmax, log-softmax, NLL. Rows are contiguous along the last axis: x[rows, columns], row stride = columns.

// y = softmax(x) or log-softmax(x) along each row. float32 inside (float64 for f64), one rounding to the type of y.
// x and y have the same type; x == y is allowed. Threading: OpenMP over rows.
csimd_status csimd_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y);
csimd_status csimd_log_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y);

// dx = y (dy - sum_j dy_j y_j)   and   dx = dy - exp(y) sum_j dy_j, y the forward result. dx may be dy.
csimd_status csimd_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);
csimd_status csimd_log_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);

// Fused cross-entropy of logits (log-softmax + negative log-likelihood) with hard targets.
// For a row i with target t, p = softmax(logits[i]), w = class_weights (1 where NULL), e = label_smoothing, C = columns:
//   loss_i = (1 - e) w_t (-log p_t) + (e / C) sum_c w_c (-log p_c);  0 for target == ignore_index.
typedef struct {
    csimd_type type;  // of the logits and of their gradient; f64 does all arithmetic in float64
    size_t rows, columns;
    const void *logits;
    const int64_t *targets;      // [rows]
    const float *class_weights;  // [columns] or NULL
    int64_t ignore_index;
    double label_smoothing;  // in [0, 1], else CSIMD_INVALID_ARGUMENT
} csimd_nll_args;

// Reads the logits once. row_loss [rows] may be NULL; log_sum_exp [rows] is kept for backward; both float32 (double for f64).
// *loss_sum = sum_i loss_i, *weight_sum = sum_i w_t over rows not ignored, both summed in float64 in a fixed order.
// A target outside [0, C) that is not ignore_index: CSIMD_BAD_TARGET, *bad_row is the first such row, nothing else written.
// -inf logits at a non-target class are fine; a row of only -inf, or with +inf or NaN, has loss NaN.
// Threading: OpenMP over fixed blocks of rows.
csimd_status csimd_nll_forward(const csimd_nll_args *args, void *row_loss, void *log_sum_exp, double *loss_sum,
                               double *weight_sum, size_t *bad_row);

// gradient[i, c] = g_i (dloss_i / dlogits[i, c]), g_i = scale * (row_scale ? row_scale[i] : 1); 0 in rows that
// are ignored or whose weight, or g_i, is 0, whatever their logits are.
// log_sum_exp is what forward wrote; row_scale [rows] float32 (double for f64) or NULL. gradient may be the logits.
// float32 inside, one rounding: the gradient is the rounding of the exact-form float32 value.
csimd_status csimd_nll_backward(const csimd_nll_args *args, const void *log_sum_exp, const void *row_scale, double scale,
                                void *gradient);

// *weight_sum as csimd_nll_forward gives it, from the targets alone; targets are checked as there.
csimd_status csimd_nll_weight(const csimd_nll_args *args, double *weight_sum, size_t *bad_row);

// Both in one reading and one exponential an element: what csimd_nll_forward writes, with the same bits, and the gradient of
// csimd_nll_backward without row_scale, with its bounds but, where there are more than 16 classes, not its bits.
// gradient may be the logits.
csimd_status csimd_nll(const csimd_nll_args *args, double scale, void *row_loss, void *log_sum_exp, void *gradient,
                       double *loss_sum, double *weight_sum, size_t *bad_row);

// ---------------------------------------------------------------------------------------------------------------------
// Elementwise: f32, f16, bf16 compute in float32 and round once; f64 computes in float64. The result may be an operand.

typedef enum {
    CSIMD_NEGATE,
    CSIMD_ABS,
    CSIMD_EXP,
    CSIMD_LOG,
    CSIMD_SQRT,
    CSIMD_TANH,
    CSIMD_SIGMOID,
    CSIMD_RELU,
    CSIMD_GELU,       // exact (erf) form
    CSIMD_GELU_TANH,  // x s(2 sqrt(2 / pi) (x + 0.044715 x^3)), s the sigmoid
    CSIMD_SILU,
    CSIMD_CLAMP,        // min(max(x, p), q), NaN kept
    CSIMD_POWER,        // x^p as pow()
    CSIMD_DIVIDE_BY,    // x / p
    CSIMD_DIVIDE_INTO,  // p / x
    CSIMD_SCALE_SHIFT   // x p + q, one fused multiply-add
} csimd_unary_op;

// y[i] = op(x[i]; p, q). Threading: OpenMP for long arrays. exp, log, tanh, sigmoid: within 2 float32 ulps before the rounding;
// gelu, its tanh form, silu within 4 (bounds stated and tested in elementwise/).
csimd_status csimd_unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y);

typedef enum {
    CSIMD_ADD,
    CSIMD_SUBTRACT,
    CSIMD_MULTIPLY,
    CSIMD_DIVIDE,
    CSIMD_MAXIMUM,  // NaN if either is NaN
    CSIMD_MINIMUM,
    // Gradients: a is what is named, b is dy. Those of exp, log, sqrt and powers are 0 where b is 0, also where the derivative
    // is infinite; where a is NaN all are NaN, but those that choose by comparing a.
    CSIMD_EXP_GRADIENT,        // a = x:  b e^a
    CSIMD_LOG_GRADIENT,        // a = x:  b / a
    CSIMD_SQRT_GRADIENT,       // a = y:  b / (2 |a|)
    CSIMD_POWER_GRADIENT,      // a = p x^(p - 1):  b a
    CSIMD_TANH_GRADIENT,       // a = y:  b (1 - a^2)
    CSIMD_SIGMOID_GRADIENT,    // a = y:  b a (1 - a)
    CSIMD_RELU_GRADIENT,       // a = x or y: a > 0 ? b : 0
    CSIMD_GELU_GRADIENT,       // a = x:  b (Phi(a) + a phi(a))
    CSIMD_GELU_TANH_GRADIENT,  // a = x: b times the derivative of that form
    CSIMD_SILU_GRADIENT,       // a = x:  b s(a) (1 + a (1 - s(a)))
    CSIMD_ABS_GRADIENT,        // a = x:  b sign(a), 0 at 0
    CSIMD_SILU_MULTIPLY        // silu(a) b
} csimd_binary_op;

// y[i, j] = op(a[i, j], b[i, j]); an operand is addressed as base + i * row_stride + j * column_stride, column_stride 0 or 1
// (0 repeats one element along the row; row_stride 0 repeats one row). y is contiguous [rows, columns]. One type for all three.
typedef struct {
    const void *base;
    size_t row_stride, column_stride;
} csimd_operand;
csimd_status csimd_binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                          void *y);

// y[i, j] = x_0[i, j] + ... + x_{terms - 1}[i, j], with `accumulate` y[i, j] + x_0[i, j] + ...: added in this order in float32
// (float64 for f64), rounded once. terms >= 1; every x_t is contiguous [rows, columns] of `type`; y is of `type` or, unless
// that is f64, f32, its rows y_stride >= columns elements apart. Aliasing: none. Threading: OpenMP for long arrays.
csimd_status csimd_sum_arrays(csimd_type type, size_t terms, const void *const *x, size_t rows, size_t columns, bool accumulate,
                              csimd_type y_type, void *y, size_t y_stride);

// ---------------------------------------------------------------------------------------------------------------------
// Loops over any element type: comparison, selection, integer arithmetic, casts from and to integers. All arrays are contiguous
// and do not overlap. Threading: OpenMP for long arrays.

// Integer element types; bool is one byte, 0 or 1.
typedef enum { CSIMD_I32 = 4, CSIMD_I64 = 5, CSIMD_U8 = 6, CSIMD_BOOL = 7 } csimd_integer;

// A csimd_type or a csimd_integer.
typedef int csimd_element;

// y[i] = a[i] op b[i], of b[0] for all i where `repeats_b`; 0 or 1. IEEE: NaN equals nothing and is in no order.
typedef enum {
    CSIMD_EQUAL,
    CSIMD_NOT_EQUAL,
    CSIMD_LESS,
    CSIMD_LESS_OR_EQUAL,
    CSIMD_GREATER,
    CSIMD_GREATER_OR_EQUAL
} csimd_comparison;
csimd_status csimd_compare(csimd_comparison op, csimd_element type, size_t count, const void *a, const void *b, bool repeats_b,
                           uint8_t *y);

// y[i] = condition[i] ? a[i] : b[i], of elements of 1, 2, 4 or 8 bytes.
csimd_status csimd_select(size_t size, size_t count, const uint8_t *condition, const void *a, const void *b, void *y);

// y[i] = a[i] op b[i] for CSIMD_ADD ... CSIMD_MINIMUM, integers, modulo the type's range; quotients truncate, by zero they are
// 0. Bool: computed as 0 and 1, a result that is not 0 is 1.
csimd_status csimd_integer_binary(csimd_binary_op op, csimd_element type, size_t count, const void *a, const void *b, void *y);

// y[i, k] = sum_j x[i, j, k] modulo 2^64, or max_j x[i, j, k] (the least int64 of nothing), of integers.
typedef enum { CSIMD_SUM, CSIMD_MAX } csimd_reduce_op;
csimd_status csimd_integer_reduce(csimd_reduce_op op, csimd_element type, size_t outer, size_t count, size_t inner,
                                  const void *x, int64_t *y);

// y[i, k] = the least j of the largest x[i, j, k]; count > 0.
csimd_status csimd_integer_argmax(csimd_element type, size_t outer, size_t count, size_t inner, const void *x, int64_t *y);

// y[i] = x[i] in another type, any pair. To integers: truncated towards zero and saturated, NaN 0; between integers the low
// bits; to bool whether not zero (NaN is not). From integers: rounded once, to nearest even. Else as csimd_convert.
csimd_status csimd_cast(csimd_element from, const void *x, csimd_element to, void *y, size_t count);

// The gradients of silu(gate) x, with s the sigmoid: gate_gradient = dy x s(gate) (1 + gate (1 - s(gate))), x_gradient = dy
// silu(gate), each rounded once; either may be NULL. Aliasing: the gradients may be operands. Threading: OpenMP for long
// arrays.
csimd_status csimd_silu_multiply_gradient(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                          void *gate_gradient, void *x_gradient);

// ---------------------------------------------------------------------------------------------------------------------
// Reduce

// y[i, k] = (accumulate ? y[i, k] : 0) + scale * sum_j x[i, j, k], or max_j x[i, j, k] (scale and accumulate unused).
// Shapes: x [outer, count, inner] contiguous, y [outer, inner]. Types: x any; y of x's type or f32 (f64 stays f64).
// Sums are float32 in fixed chunks (float64 where they would overflow) combined in float64, in an order that depends on the
// shape only: |error| <= 128 u sum |x|, u = 2^-24. A maximum is NaN if any element is, and -INFINITY over nothing.
csimd_status csimd_reduce(csimd_reduce_op op, csimd_type type, size_t outer, size_t count, size_t inner, const void *x,
                          double scale, bool accumulate, csimd_type y_type, void *y);

// y[i, k] = the least j with the largest x[i, j, k]; the first NaN counts as largest. count >= 1.
csimd_status csimd_argmax(csimd_type type, size_t outer, size_t count, size_t inner, const void *x, int64_t *y);

typedef enum { CSIMD_NORM_1, CSIMD_NORM_2, CSIMD_NORM_3, CSIMD_NORM_INFINITY } csimd_norm;

// One read of an array: *power_sum = sum_i |x[i]|^p in float64, p = 1, 2 or 3, or max_i |x[i]| for CSIMD_NORM_INFINITY (0 of
// nothing): +inf or NaN where an element is, NaN where any is NaN; *first_non_finite the least index of an infinity or NaN, or
// `count` where there is none. Finiteness is decided element by element, never by the sum. No power of an f32, f16 or bf16
// element overflows or underflows float64, nor does the sum of 2^60 of them; powers of f64 elements overflow above 1e102.
// Relative error of a sum: below (count + 4) 2^-53. Threading: OpenMP over fixed chunks.
csimd_status csimd_finite_check(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum,
                                size_t *first_non_finite);

// ---------------------------------------------------------------------------------------------------------------------
// Optimizers: unscale + clip + update + 16-bit shadow in one pass.

// How a 16-bit parameter x + d (x stored, d the update, both in float32) is rounded.
// NEAREST: to nearest even. STOCHASTIC: x + d, rounded to float32, goes up with a probability that is its distance from the
// value below in units of their distance (in f16 subnormals to a multiple of 2^-24); what is beyond the largest finite value
// goes to nearest. The random bits are a hash of random_key and the element's index modulo 2^32 alone. KAHAN: y = d +
// compensation, the parameter becomes x + y to nearest, and compensation what that lost of y.
typedef enum { CSIMD_ROUND_NEAREST = 0, CSIMD_ROUND_STOCHASTIC = 1, CSIMD_ROUND_KAHAN = 2 } csimd_update_rounding;

// What every optimizer kernel takes. g = gradient[i] * gradient_scale (1 / loss scale, formed in double and rounded to float32
// by the caller), then g *= clip_coefficient, or is clamped to +-clip_value where clip_value > 0.
// `type` is that of the parameter: f32 or f64 (gradient and state of the same type), or f16 / bf16 (a "true" 16-bit parameter:
// gradient and state float32, arithmetic float32, the parameter rounded once, as `rounding` says; other types take NEAREST
// only). shadow: NULL, or the rounding of an f32 parameter to shadow_type (f16 or bf16), written in the same pass.
// updates_lost: NULL, or where the step writes how many updates were not zero and yet changed neither the stored value nor
// its compensation. All rows give the same bits for f32, f16 and bf16, for any number of threads.
typedef struct {
    csimd_type type;
    size_t count;
    void *parameter;
    const void *gradient;
    double gradient_scale, clip_coefficient, clip_value;
    void *shadow;
    csimd_type shadow_type;
    double learning_rate, weight_decay;
    bool maximize;
    csimd_update_rounding rounding;
    uint64_t random_key;   // STOCHASTIC
    size_t first_index;    // STOCHASTIC: the index of element 0
    float *compensation;   // KAHAN: as many as elements
    size_t *updates_lost;  // written, not added to
} csimd_optimizer_args;

// SGD as PyTorch 2.13: g += weight_decay p; with momentum: b = first_step ? g : momentum b + (1 - dampening) g;
// g = nesterov ? g + momentum b : b; p -= learning_rate g. momentum_buffer may be NULL where momentum == 0.
csimd_status csimd_sgd_step(const csimd_optimizer_args *args, void *momentum_buffer, double momentum, double dampening,
                            bool nesterov, bool first_step);

// Adam / AdamW as PyTorch 2.13, step t >= 1. decoupled: p *= 1 - learning_rate weight_decay (AdamW), else g += weight_decay p.
// m += (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g^2;
// p -= (learning_rate / (1 - beta1^t)) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon).
// max_second_moment: NULL, or AMSGrad's running maximum of v, used in place of v in the denominator.
csimd_status csimd_adam_step(const csimd_optimizer_args *args, void *first_moment, void *second_moment, void *max_second_moment,
                             double beta1, double beta2, double epsilon, bool decoupled, uint64_t step);

// RMSprop as PyTorch 2.13: g += weight_decay p; v = alpha v + (1 - alpha) g^2; d = sqrt(v) + epsilon; with gradient_mean (the
// centered form, else NULL): m += (1 - alpha)(g - m), d = sqrt(max(v - m^2, 0)) + epsilon, where PyTorch takes the root of what
// rounding made negative; with momentum: b = momentum b + g / d, p -= learning_rate b; else p -= learning_rate g / d.
// momentum_buffer may be NULL where momentum == 0.
csimd_status csimd_rmsprop_step(const csimd_optimizer_args *args, void *square_mean, void *gradient_mean, void *momentum_buffer,
                                double alpha, double epsilon, double momentum);

// Adagrad as PyTorch 2.13, step t >= 1: g += weight_decay p; s += g^2;
// p -= (learning_rate / (1 + (t - 1) learning_rate_decay)) g / (sqrt(s) + epsilon).
csimd_status csimd_adagrad_step(const csimd_optimizer_args *args, void *square_sum, double learning_rate_decay, double epsilon,
                                uint64_t step);

// Lion (Chen et al. 2023, arXiv 2302.06675, program 1): p *= 1 - learning_rate weight_decay;
// p -= learning_rate sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g. sign(0) = 0, and NaN of NaN.
csimd_status csimd_lion_step(const csimd_optimizer_args *args, void *moment, double beta1, double beta2);

// ---------------------------------------------------------------------------------------------------------------------
// Row norms. Rows are contiguous along the last axis: x [rows, columns].

typedef enum {
    CSIMD_LAYER_NORM,  // n = (x - mean) / sqrt(variance + epsilon), the variance with divisor `columns`
    CSIMD_RMS_NORM     // n = x / sqrt(mean of x^2 + epsilon)
} csimd_row_norm_kind;

typedef struct {
    csimd_row_norm_kind kind;
    csimd_type type;  // of x, weight, bias, y, dy, dx
    size_t rows, columns;
    const void *x;
    const void *weight, *bias;  // [columns], or NULL for 1 and 0
    double epsilon;             // >= 0
} csimd_row_norm_args;

// What a row was normalised by, for backward: n = (unit x - center - correction) inverse. center + correction is the mean of
// unit x (both 0 with RMS): center a value of float32 (float64 of f64), correction what is left of the mean.
// inverse = 1 / sqrt(unit^2 (... + epsilon)). unit is a power of two, 1 but for rows whose squares are beyond float64.
typedef struct {
    double unit, center, correction, inverse;
} csimd_row_statistics;

// y = n weight + bias, statistics [rows].
// Precision: u the roundoff of float32 (float64 for f64), k = columns / 32 + 8: n is off by at most 2 k u (1 + |n|) for rows of
// any offset and size; a constant row has n = 0 exactly. y is rounded once. Rows that have no room in float32 (squares beyond
// it, or lost in its subnormals) are done in float64. Aliasing: y may be x. Threading: OpenMP over blocks of rows.
csimd_status csimd_row_norm(const csimd_row_norm_args *args, void *y, csimd_row_statistics *statistics);

// With g = dy weight, means over a row and the inverse deviation unit inverse: dx = unit inverse (g - mean(g) - n mean(g n)),
// RMS without mean(g); weight_gradient[j] = sum_i dy_ij n_ij and bias_gradient[j] = sum_i dy_ij, float32 (double for f64),
// added to what is there where adds_to_* is true. Any of the three may be NULL. The sums run over fixed blocks of rows, which
// are added up in float64 in order: the same bits for any number of threads. Rows, and sums of columns, that leave float32 are
// done in float64: a gradient is infinite only where the exact one is beyond its type. Aliasing: dx may be dy, unless it wants
// a parameter's gradient.
csimd_status csimd_row_norm_gradient(const csimd_row_norm_args *args, const csimd_row_statistics *statistics, const void *dy,
                                     void *dx, void *weight_gradient, bool adds_to_weight, void *bias_gradient,
                                     bool adds_to_bias);

// ---------------------------------------------------------------------------------------------------------------------
// Embedding, rotary positions, dropout

// y[i] = table[index[i]]. Shapes: table [rows, columns], index [count], y [count, columns]. An index outside [0, rows):
// CSIMD_BAD_TARGET, *bad (unless NULL) is its place, nothing written. Threading: OpenMP over rows of y.
csimd_status csimd_embedding(csimd_type type, size_t rows, size_t columns, size_t count, const void *table,
                             const int64_t *index, void *y, size_t *bad);

// table_gradient[index[i]] += dy[i] in order of i, in float32 (double for f64), from 0 or, where `accumulate`, from what is
// there. Threading: OpenMP over columns.
csimd_status csimd_embedding_gradient(csimd_type type, size_t rows, size_t columns, size_t count, const void *dy,
                                      const int64_t *index, bool accumulate, void *table_gradient);

// Rotation of the pairs (j, j + head_size / 2) of each head by the angles of the row's position, first_position + i mod period:
//   y_j = x_j c_j - x_(j + half) s_j,  y_(j + half) = x_(j + half) c_j + x_j s_j;  with -s for the inverse (the gradient).
// Shapes: x [rows, heads, head_size] with x_stride elements from row to row, y contiguous; cosine and sine [positions, half],
// float32 (double for f64). float32 inside, one rounding. head_size is even. y may be x where that is contiguous.
typedef struct {
    csimd_type type;
    size_t rows, heads, head_size, x_stride;
    const void *x;
    const void *cosine, *sine;
    size_t first_position, period;
    bool inverse;
    void *y;
} csimd_rotary_args;
csimd_status csimd_rotary(const csimd_rotary_args *args);

// y[i] = x[i] / (1 - probability) where u_i >= probability, else 0 (also where x is infinite or NaN); probability in [0, 1].
// u_i is the upper 53 bits, times 2^-53, of word position + i of Philox4x32-10: block b of the counter (b, stream) under the
// key `seed` gives the words 2 b and 2 b + 1. The gradient is the same function of dy. y may be x.
// Threading: OpenMP over chunks; an element's mask depends on its index alone.
csimd_status csimd_dropout(csimd_type type, size_t count, const void *x, double probability, uint64_t seed, uint64_t stream,
                           uint64_t position, void *y);

// ---------------------------------------------------------------------------------------------------------------------
// Scaled-dot-product attention

// Element (b, h, t, d) of a tensor of heads: base[b * batch_stride + h * head_stride + t * row_stride + d].
typedef struct {
    const void *base;
    size_t batch_stride, head_stride, row_stride;
} csimd_heads;

typedef struct {
    csimd_type type;  // of q, k, v, o and their gradients
    size_t batch, heads, key_heads, queries, keys, head_size;
    csimd_heads q, k, v;  // q has `heads` heads of `queries` rows; k and v have `key_heads` of `keys` rows
    double scale;         // > 0
    bool causal;          // query i sees the keys up to i + keys - queries only
    const uint8_t *mask;  // [batch, keys], 0 hides a key from all queries; or NULL
} csimd_attention_args;

// o[b, h, i] = sum_j p_ij v[b, g, j], p_i = softmax over the keys that i sees of scale q[b, h, i] . k[b, g, j], with
// g = h key_heads / heads; 0 where i sees none. log_sum_exp [batch, heads, queries] is kept for backward: float32 (double for
// f64), +infinity where i sees none.
// float32 sums and exponentials. With bf16 where bf16 products are native (csimd_active_bf16_gemm) the weights p are rounded to
// bf16 for the product with v, and subnormal elements count as zero. No matrix of queries by keys is stored. heads is a
// multiple of key_heads, head_size from 1 to 512. Aliasing: o overlaps none of the operands. Threading: OpenMP over batch and
// key heads (and queries where these are few).
csimd_status csimd_attention(const csimd_attention_args *args, csimd_heads o, void *log_sum_exp);

// The gradients of q, k and v, all written, from o, its gradient and what forward kept: with p recomputed,
//   dv_j = sum_i p_ij do_i,  ds_ij = p_ij (do_i . v_j - do_i . o_i) scale,  dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i,
// the last two of dv and dk also over the heads that share a key head. float32 sums; p and ds rounded to bf16 as above.
// Aliasing: the gradients overlap nothing. Threading: OpenMP over batch and key heads.
csimd_status csimd_attention_gradient(const csimd_attention_args *args, csimd_heads o, const void *log_sum_exp,
                                      csimd_heads o_gradient, csimd_heads q_gradient, csimd_heads k_gradient,
                                      csimd_heads v_gradient);

// ---------------------------------------------------------------------------------------------------------------------
// Random numbers

// y[i] = start + scale u_i. CSIMD_UNIFORM: u_i in [0, 1) is the upper 53 bits, times 2^-53, of word `position` + i of stream
// `stream` of the generator with that seed (as csimd_dropout). CSIMD_NORMAL: u_i = sqrt(-2 log(1 - a)) cos(2 pi b) of a and b
// from words `position` + 2 i and the one after it, with the C library's functions. Formed in float64, rounded once; the same
// numbers on every row. Threading: OpenMP for long arrays.
typedef enum { CSIMD_UNIFORM, CSIMD_NORMAL } csimd_distribution;
csimd_status csimd_random(csimd_distribution kind, uint64_t seed, uint64_t stream, uint64_t position, double start,
                          double scale, csimd_type type, size_t count, void *y);

#ifdef __cplusplus
}
#endif
#endif
