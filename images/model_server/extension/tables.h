/* The tables of a tree ensemble and its evaluation.
 *
 * The leaves of a tree are bits of a word. For each feature, the thresholds of all trees
 * cut the numbers into intervals, and a line of masks for each interval (one word a tree)
 * has the leaves that a value in the interval leaves reachable. The AND over all features
 * is the one leaf that each tree answers with. The idea is QuickScorer's (C. Lucchese
 * et al., "QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of
 * Regression Trees", SIGIR 2015, https://doi.org/10.1145/2766462.2767733); a line by
 * interval in place of a walk over thresholds makes the time independent of the row. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MOST_TREES 4096
#define MOST_TARGETS 256
#define MOST_COLUMNS 4096
#define BLOCK 4 /* rows whose sums are made side by side: an addition takes 4 cycles */
#define STEP 32 /* bytes of masks that are ANDed at once; lines are multiples of it */

/* What the sums of a row become; tree_outputs.py has the same numbers. */
enum output {
  TARGETS,           /* sum / divisor + base */
  COMPLEMENT,        /* 1 - s, s      of s = sum + base; label: s > 0.5 */
  OPPOSITE,          /* -s, s         label: s > 0 */
  OPPOSITE_LOGISTIC, /* logistic of both */
  CLASSES,           /* sums + bases  label: the first of the largest */
  CLASSES_LOGISTIC,
  CLASSES_SOFTMAX,
  OUTPUTS
};

typedef struct {
  uint32_t columns, features, trees, targets, labels, bits;
  enum output output;
  float divisor;
  uint32_t *column;  /* [features]: column of a row */
  uint32_t *first;   /* [features + 1]: where a feature's thresholds begin */
  float *thresholds; /* [first[features]], ascending by feature */
  char *masks;       /* [first[features] + 2 * features][line_bytes]: the intervals of a
                      * feature in order, then the masks of a missing value */
  float *leaves;     /* [trees][bits][targets] */
  float *bases;      /* [targets] */
  int64_t *label;    /* [labels] */
} Tables;

typedef uint64_t Vector __attribute__((vector_size(STEP), aligned(8), may_alias));

/* The bytes of a line of masks: a word a tree, filled up. */
static inline size_t line_bytes(const Tables *tables) {
  const size_t bytes = (size_t)tables->trees * (tables->bits / 8);
  return (bytes + STEP - 1) / STEP * STEP;
}

#define INLINE static inline __attribute__((always_inline))

/* 1 or 0, which the compiler may not make a branch of: every other one would be
 * predicted wrong. */
INLINE uint32_t is_below(float threshold, float value) {
  uint32_t below = threshold < value;
  __asm__("" : "+r"(below));
  return below;
}

/* The lines of a feature for rows of values: the interval of each value is the number of
 * thresholds below it; NaN has the line after the intervals. The searches go side by
 * side and have no branch that depends on a value. */
INLINE void find_lines(const Tables *tables, size_t feature, const char *rows,
                       const size_t count, const char **lines) {
  const uint32_t start = tables->first[feature];
  const uint32_t ends = tables->first[feature + 1] - start;
  const float *thresholds = tables->thresholds + start;
  const size_t row_bytes = tables->columns * sizeof(float), bytes = line_bytes(tables);
  const char *masks = tables->masks + (start + 2 * feature) * bytes;
  float values[BLOCK];
  uint32_t at[BLOCK] = {0};
  for (size_t r = 0; r < count; r++)
    memcpy(values + r, rows + r * row_bytes + sizeof(float) * tables->column[feature],
           sizeof(float));
  for (uint32_t left = ends; left > 1; left -= left / 2)
    for (size_t r = 0; r < count; r++)
      at[r] += (left / 2) * is_below(thresholds[at[r] + left / 2 - 1], values[r]);
  for (size_t r = 0; r < count; r++) {
    if (ends) at[r] += thresholds[at[r]] < values[r];
    lines[r] = masks + bytes * (values[r] == values[r] ? at[r] : ends + 1);
  }
}

/* The leaf of a word; the last where a word has no bit, which no right table gives. */
INLINE size_t leaf(const char *words, size_t tree, const uint32_t bits) {
  if (bits == 16)
    return (size_t)__builtin_ctz(((const uint16_t *)words)[tree] | 0x8000u);
  if (bits == 32)
    return (size_t)__builtin_ctz(((const uint32_t *)words)[tree] | 0x80000000u);
  return (size_t)__builtin_ctzll(((const uint64_t *)words)[tree] | 1ull << 63);
}

/* The memory that a block of rows needs for lines and words. */
static size_t scratch_bytes(const Tables *tables) {
  return BLOCK * (tables->features * sizeof(char *) + line_bytes(tables));
}

/* sums: [count][targets], what the leaves of up to BLOCK rows add up to. */
INLINE void block(const Tables *tables, const char *rows, const uint32_t bits,
                  const size_t count, void *scratch, float *sums) {
  const size_t features = tables->features, bytes = line_bytes(tables);
  const char **lines = scratch;
  char *words = (char *)(lines + features * count);
  for (size_t f = 0; f < features; f++)
    find_lines(tables, f, rows, count, lines + f * count);
  for (size_t r = 0; r < count; r++)
    for (size_t at = 0; at < bytes; at += STEP) {
      Vector left = ~(Vector){0};
      for (size_t f = 0; f < features; f++)
        left &= *(const Vector *)(lines[f * count + r] + at);
      *(Vector *)(words + r * bytes + at) = left;
    }
  const size_t trees = tables->trees, targets = tables->targets;
  const float *leaves = tables->leaves;
  if (targets == 1) {
    float sum[BLOCK] = {0};
    for (size_t t = 0; t < trees; t++, leaves += bits)
      for (size_t r = 0; r < count; r++)
        sum[r] += leaves[leaf(words + r * bytes, t, bits)];
    memcpy(sums, sum, count * sizeof *sums);
    return;
  }
  memset(sums, 0, count * targets * sizeof *sums);
  for (size_t t = 0; t < trees; t++, leaves += bits * targets)
    for (size_t r = 0; r < count; r++) {
      const float *of = leaves + leaf(words + r * bytes, t, bits) * targets;
      for (size_t k = 0; k < targets; k++) sums[r * targets + k] += of[k];
    }
}

/* The number of rows is a constant within each call of block(). */
#define DEFINE(bits, name, attribute)                                                  \
  attribute static void name(const Tables *tables, const char *rows, size_t count,     \
                             void *scratch, float *sums) {                             \
    if (count == BLOCK) block(tables, rows, bits, BLOCK, scratch, sums);               \
    else                                                                               \
      for (size_t r = 0; r < count; r++)                                               \
        block(tables, rows + r * tables->columns * sizeof(float), bits, 1, scratch,    \
              sums + r * tables->targets);                                             \
  }

typedef void Block(const Tables *, const char *, size_t, void *, float *);

#define NOTHING
DEFINE(16, block_16, NOTHING)
DEFINE(32, block_32, NOTHING)
DEFINE(64, block_64, NOTHING)

#ifdef __x86_64__
#include <cpuid.h>
#define AVX2 __attribute__((target("avx2,bmi")))
DEFINE(16, wide_16, AVX2)
DEFINE(32, wide_32, AVX2)
DEFINE(64, wide_64, AVX2)

/* Whether the processor has AVX2 and BMI1, and the kernel keeps the wide registers. */
static int has_avx2(void) {
  unsigned a, b, c, d, low, high;
  const unsigned saved = bit_OSXSAVE | bit_AVX, wanted = bit_AVX2 | bit_BMI;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & saved) != saved) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & wanted) == wanted;
}
#else
#define wide_16 block_16
#define wide_32 block_32
#define wide_64 block_64
static int has_avx2(void) { return 0; }
#endif

static Block *block_of(uint32_t bits) {
  const int wide = has_avx2();
  if (bits == 16) return wide ? wide_16 : block_16;
  if (bits == 32) return wide ? wide_32 : block_32;
  return wide ? wide_64 : block_64;
}

static float logistic(float value) {
  const float at = 1 / (1 + expf(-fabsf(value)));
  return value < 0 ? 1 - at : at;
}

static void softmax(float *values, size_t count) {
  float most = values[0], sum = 0;
  for (size_t k = 1; k < count; k++) most = values[k] > most ? values[k] : most;
  for (size_t k = 0; k < count; k++) sum += values[k] = expf(values[k] - most);
  for (size_t k = 0; k < count; k++) values[k] /= sum;
}

/* Scores of two classes from the sum of one; the place of the label. */
static uint32_t finish_two(const Tables *tables, float sum, float *scores) {
  const float s = sum + tables->bases[0];
  if (tables->output == COMPLEMENT) {
    scores[0] = 1 - s, scores[1] = s;
    return s > 0.5f;
  }
  scores[0] = -s, scores[1] = s;
  if (tables->output == OPPOSITE_LOGISTIC)
    scores[0] = logistic(scores[0]), scores[1] = logistic(s);
  return s > 0;
}

/* Scores of a row from its sums; the place of the label, 0 for a regression. */
static uint32_t finish(const Tables *tables, const float *sums, float *scores) {
  const uint32_t targets = tables->targets;
  if (tables->output == COMPLEMENT || tables->output == OPPOSITE ||
      tables->output == OPPOSITE_LOGISTIC)
    return finish_two(tables, sums[0], scores);
  uint32_t best = 0;
  for (uint32_t k = 0; k < targets; k++) {
    const float sum = tables->output == TARGETS ? sums[k] / tables->divisor : sums[k];
    scores[k] = sum + tables->bases[k];
    best = scores[k] > scores[best] ? k : best;
  }
  if (tables->output == CLASSES_SOFTMAX) softmax(scores, targets);
  if (tables->output == CLASSES_LOGISTIC)
    for (uint32_t k = 0; k < targets; k++) scores[k] = logistic(scores[k]);
  return tables->output == TARGETS ? 0 : best;
}

static size_t width(const Tables *tables) {
  return tables->labels ? tables->labels : tables->targets;
}

/* labels is NULL for a regression; no pointer but scratch has to be aligned. */
static void evaluate(const Tables *tables, Block *block, void *scratch,
                     const char *rows, size_t count, char *labels, char *scores) {
  float sums[BLOCK * MOST_TARGETS], made[MOST_TARGETS];
  const size_t row_bytes = tables->columns * sizeof(float);
  const size_t made_bytes = width(tables) * sizeof(float);
  for (size_t start = 0; start < count; start += BLOCK) {
    const size_t part = count - start < BLOCK ? count - start : BLOCK;
    const char *from = rows + start * row_bytes;
    block(tables, from, part, scratch, sums);
    for (size_t r = 0; r < part; r++) {
      const uint32_t best = finish(tables, sums + r * tables->targets, made);
      memcpy(scores + (start + r) * made_bytes, made, made_bytes);
      if (labels)
        memcpy(labels + (start + r) * sizeof(int64_t), tables->label + best,
               sizeof(int64_t));
    }
  }
}
