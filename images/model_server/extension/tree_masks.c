/* The Python face of tables.h: tree_masks.Forest, which model_server uses.
 *
 * model_server/tree_tables.py makes the tables. Nothing here trusts them: Forest() checks
 * each length and each index against the others, so that no table can cause a read
 * outside of one. */
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "tables.h"

#define FREE_GIL_ROWS 64

typedef struct {
  PyObject_HEAD
  Block *block;
  Tables tables;
} Forest;

static int holds(const Py_buffer *buffer, size_t bytes, const char *what) {
  if ((size_t)buffer->len == bytes) return 1;
  PyErr_Format(PyExc_ValueError, "%s has %zd bytes, not %zu", what, buffer->len, bytes);
  return 0;
}

/* run(rows, labels, scores): FP32 rows in; INT64 labels, or None, and FP32 scores out. */
static PyObject *run(Forest *forest, PyObject *const *given, Py_ssize_t number) {
  Py_buffer rows = {0}, labels = {0}, scores = {0};
  PyObject *result = NULL;
  void *scratch = NULL;
  if (number != 3) {
    PyErr_SetString(PyExc_TypeError, "run takes rows, labels and scores");
    return NULL;
  }
  const Tables *tables = &forest->tables;
  const size_t row_bytes = tables->columns * sizeof(float);
  if (PyObject_GetBuffer(given[0], &rows, PyBUF_SIMPLE) ||
      (tables->labels && PyObject_GetBuffer(given[1], &labels, PyBUF_WRITABLE)) ||
      PyObject_GetBuffer(given[2], &scores, PyBUF_WRITABLE))
    goto done;
  const size_t count = (size_t)rows.len / row_bytes;
  if (!holds(&rows, count * row_bytes, "rows") ||
      !holds(&scores, count * width(tables) * sizeof(float), "scores") ||
      (tables->labels && !holds(&labels, count * sizeof(int64_t), "labels")))
    goto done;
  scratch = PyMem_Malloc(scratch_bytes(tables));
  if (!scratch) {
    PyErr_NoMemory();
    goto done;
  }
  if (count < FREE_GIL_ROWS) {
    evaluate(tables, forest->block, scratch, rows.buf, count, labels.buf, scores.buf);
  } else {
    Py_BEGIN_ALLOW_THREADS
    evaluate(tables, forest->block, scratch, rows.buf, count, labels.buf, scores.buf);
    Py_END_ALLOW_THREADS
  }
  result = Py_None;
  Py_INCREF(result);
done:
  PyMem_Free(scratch);
  if (rows.obj) PyBuffer_Release(&rows);
  if (labels.obj) PyBuffer_Release(&labels);
  if (scores.obj) PyBuffer_Release(&scores);
  return result;
}

static int is_within(uint32_t value, uint32_t most, const char *what) {
  if (value >= 1 && value <= most) return 1;
  PyErr_Format(PyExc_ValueError, "%s is %u, not 1 to %u", what, value, most);
  return 0;
}

static int sizes_are_right(const Tables *it) {
  if (!is_within(it->columns, MOST_COLUMNS, "columns") ||
      !is_within(it->trees, MOST_TREES, "trees") ||
      !is_within(it->targets, MOST_TARGETS, "targets"))
    return 0;
  const int is_two = it->output == COMPLEMENT || it->output == OPPOSITE ||
                     it->output == OPPOSITE_LOGISTIC;
  const uint32_t labels = it->output == TARGETS ? 0 : is_two ? 2 : it->targets;
  if ((it->bits == 16 || it->bits == 32 || it->bits == 64) &&
      (unsigned)it->output < OUTPUTS && it->labels == labels &&
      (!is_two || it->targets == 1) && it->divisor >= 1)
    return 1;
  PyErr_SetString(PyExc_ValueError, "bits, output, targets and labels do not fit");
  return 0;
}

/* Columns, beginnings and thresholds: what indexes the tables. */
static int indexes_are_right(const Tables *it, size_t thresholds) {
  int right = it->first[0] == 0 && it->first[it->features] == thresholds;
  for (uint32_t f = 0; f < it->features && right; f++) {
    right = it->column[f] < it->columns && it->first[f] <= it->first[f + 1] &&
            it->first[f + 1] <= thresholds;
    for (uint32_t i = it->first[f]; right && i < it->first[f + 1]; i++)
      right = it->thresholds[i] == it->thresholds[i] &&
              (i == it->first[f] || it->thresholds[i - 1] < it->thresholds[i]);
  }
  if (!right) PyErr_SetString(PyExc_ValueError, "columns or thresholds do not fit");
  return right;
}

static void *copied(const Py_buffer *from) {
  void *made = PyMem_Malloc(from->len ? (size_t)from->len : 1);
  if (!made) return PyErr_NoMemory();
  if (from->len) memcpy(made, from->buf, (size_t)from->len);
  return made;
}

enum table { COLUMN, FIRST, THRESHOLDS, MASKS, LEAVES, BASES, LABEL, TABLES };

static int fill(Tables *it, const Py_buffer *given) {
  it->features = (uint32_t)((size_t)given[COLUMN].len / sizeof(uint32_t));
  it->labels = (uint32_t)((size_t)given[LABEL].len / sizeof(int64_t));
  if (!sizes_are_right(it)) return 0;
  const size_t features = it->features, trees = it->trees, bits = it->bits;
  const size_t thresholds = (size_t)given[THRESHOLDS].len / sizeof(float);
  const size_t lines = thresholds + 2 * features;
  if (features > it->columns || thresholds > UINT32_MAX / 2 ||
      lines > (size_t)PY_SSIZE_T_MAX / line_bytes(it)) {
    PyErr_SetString(PyExc_ValueError, "more thresholds than there can be");
    return 0;
  }
  if (!holds(&given[COLUMN], features * sizeof(uint32_t), "column") ||
      !holds(&given[FIRST], (features + 1) * sizeof(uint32_t), "first") ||
      !holds(&given[THRESHOLDS], thresholds * sizeof(float), "thresholds") ||
      !holds(&given[MASKS], lines * line_bytes(it), "masks") ||
      !holds(&given[LEAVES], trees * bits * it->targets * sizeof(float), "leaves") ||
      !holds(&given[BASES], it->targets * sizeof(float), "bases") ||
      !holds(&given[LABEL], it->labels * sizeof(int64_t), "label"))
    return 0;
  return (it->column = copied(&given[COLUMN])) && (it->first = copied(&given[FIRST])) &&
         (it->thresholds = copied(&given[THRESHOLDS])) &&
         (it->masks = copied(&given[MASKS])) && (it->leaves = copied(&given[LEAVES])) &&
         (it->bases = copied(&given[BASES])) && (it->label = copied(&given[LABEL])) &&
         indexes_are_right(it, thresholds);
}

static PyObject *make(PyTypeObject *type, PyObject *given, PyObject *named) {
  static char *names[] = {"columns", "trees",      "targets", "bits",   "output",
                          "divisor", "column",     "first",   "thresholds",
                          "masks",   "leaves",     "bases",   "label",  NULL};
  unsigned int columns, trees, targets, bits, output;
  float divisor;
  Py_buffer tables[TABLES] = {{0}};
  if (!PyArg_ParseTupleAndKeywords(
          given, named, "IIIIIfy*y*y*y*y*y*y*:Forest", names, &columns, &trees, &targets,
          &bits, &output, &divisor, &tables[COLUMN], &tables[FIRST], &tables[THRESHOLDS],
          &tables[MASKS], &tables[LEAVES], &tables[BASES], &tables[LABEL]))
    return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Forest *forest = (Forest *)allocate(type, 0);
  if (forest) {
    Tables *it = &forest->tables;
    it->columns = columns, it->trees = trees, it->targets = targets;
    it->bits = bits, it->divisor = divisor;
    it->output = output < OUTPUTS ? (enum output)output : OUTPUTS;
    forest->block = block_of(bits);
    if (!fill(it, tables)) {
      Py_DECREF((PyObject *)forest);
      forest = NULL;
    }
  }
  for (int i = 0; i < TABLES; i++) PyBuffer_Release(&tables[i]);
  return (PyObject *)forest;
}

static void destroy(Forest *forest) {
  PyTypeObject *type = Py_TYPE((PyObject *)forest);
  const Tables *it = &forest->tables;
  void *tables[] = {it->column, it->first, it->thresholds, it->masks,
                    it->leaves, it->bases, it->label};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) PyMem_Free(tables[i]);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(forest);
  Py_DECREF((PyObject *)type);
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL,
     "Evaluate rows: FP32 rows in, INT64 labels (None of a regression) and FP32 scores."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)make},
    {Py_tp_dealloc, (void *)destroy},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)"The tables of an ensemble, checked; see tree_tables.py."},
    {0, NULL}};

static PyType_Spec spec = {"tree_masks.Forest", sizeof(Forest), 0, Py_TPFLAGS_DEFAULT,
                           slots};

static int fill_module(PyObject *module) {
  PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
  if (!type) return -1;
  const int failed = PyModule_AddObjectRef(module, "Forest", type);
  Py_DECREF(type);
  return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT,
                                    "tree_masks",
                                    "Tree ensembles evaluated with bit masks.",
                                    0,
                                    NULL,
                                    module_slots,
                                    NULL,
                                    NULL,
                                    NULL};

PyMODINIT_FUNC PyInit_tree_masks(void) { return PyModuleDef_Init(&module); }
