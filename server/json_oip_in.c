/* Inference requests as a stream of JSON events (yajl). Keeps the invariants that memory grows only for what is kept,
 * that a member this server knows has the documented type and comes once, and that unknown members are skipped. Does
 * not check shapes against the model: oip_decode.c does. */
#include "json_oip_in.h"

#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "encoding.h"

enum { DEPTH_MAX = 16, NAME_MAX_BYTES = 64, NUMBER_BYTES_MAX = 400, TEXT_BYTES_MAX = 1024 };

typedef enum place {
  OUTSIDE,
  REQUEST,
  REQUEST_PARAMETERS,
  INPUTS,
  INPUT,
  INPUT_PARAMETERS,
  SHAPE,
  DATA,
  OUTPUTS,
  OUTPUT,
  OUTPUT_PARAMETERS,
  SKIPPED
} place;

typedef enum value_kind { IS_NULL, IS_BOOLEAN, IS_NUMBER, IS_STRING, IS_OBJECT, IS_ARRAY } value_kind;

/* The members that mean something; NULL: an element, or any member there. */
typedef struct member {
  place in;
  const char *name;
  value_kind kind;
  place to; /* of objects and arrays */
  const char *what;
} member;

static const member members[] = {
    {OUTSIDE, NULL, IS_OBJECT, REQUEST, "body"},
    {REQUEST, "id", IS_STRING, OUTSIDE, "id"},
    {REQUEST, "parameters", IS_OBJECT, REQUEST_PARAMETERS, "parameters"},
    {REQUEST, "inputs", IS_ARRAY, INPUTS, "inputs"},
    {REQUEST, "outputs", IS_ARRAY, OUTPUTS, "outputs"},
    {INPUTS, NULL, IS_OBJECT, INPUT, "inputs[0]"},
    {INPUT, "name", IS_STRING, OUTSIDE, "inputs[0].name"},
    {INPUT, "datatype", IS_STRING, OUTSIDE, "inputs[0].datatype"},
    {INPUT, "shape", IS_ARRAY, SHAPE, "inputs[0].shape"},
    {INPUT, "parameters", IS_OBJECT, INPUT_PARAMETERS, "inputs[0].parameters"},
    {INPUT, "data", IS_ARRAY, DATA, "inputs[0].data"},
    {INPUT_PARAMETERS, "binary_data_size", IS_NUMBER, OUTSIDE, "inputs[0].parameters.binary_data_size"},
    {SHAPE, NULL, IS_NUMBER, OUTSIDE, "inputs[0].shape"},
    {OUTPUTS, NULL, IS_OBJECT, OUTPUT, "outputs"},
    {OUTPUT, "name", IS_STRING, OUTSIDE, "outputs.name"},
    {OUTPUT, "parameters", IS_OBJECT, OUTPUT_PARAMETERS, "outputs.parameters"},
    {OUTPUT_PARAMETERS, "classification", IS_NUMBER, OUTSIDE, "outputs.parameters.classification"},
    {OUTPUT_PARAMETERS, "binary_data", IS_BOOLEAN, OUTSIDE, "outputs.parameters.binary_data"},
};
enum { N_MEMBERS = sizeof members / sizeof *members };

static const char *const kind_names[] = {"null", "a boolean", "a number", "a string", "an object", "an array"};

/* Text is not terminated. */
typedef struct value {
  value_kind kind;
  bool truth;
  const char *text;
  size_t n;
} value;

typedef struct parser {
  inference *inf, *data;
  oip_tensor *tensor;
  size_t max_values;
  place stack[DEPTH_MAX];
  unsigned depth;
  char name[NAME_MAX_BYTES + 1]; /* of the member whose value comes next; a longer one is none we know */
  uint32_t seen;                 /* bit i: members[i] came */
  oip_output_request output;     /* the one being read */
  bool output_named;
} parser;

static place here(const parser *p) {
  return p->depth ? p->stack[p->depth - 1] : OUTSIDE;
}

static int refuse(parser *p, const char *what, const char *why) {
  problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST, "%s: %s", what, why);
  return 0;
}

static int expected(parser *p, const char *what, const char *wanted, value_kind got) {
  problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST, "%s: expected %s, got %s", what, wanted, kind_names[got]);
  return 0;
}

static const member *find_member(const parser *p) {
  for (int i = 0; i < N_MEMBERS; i++)
    if (members[i].in == here(p) && (!members[i].name || strcmp(members[i].name, p->name) == 0)) return &members[i];
  return NULL;
}

/* The member of a value that came, NULL when it means nothing here. *ok is false when it is refused. */
static const member *take_member(parser *p, value_kind kind, bool *ok) {
  const member *m = find_member(p);
  *ok = true;
  if (!m || (kind == IS_NULL && m->name)) return NULL; /* null is as good as absent */
  if (m->kind != kind) {
    *ok = expected(p, m->what, kind_names[m->kind], kind);
    return NULL;
  }
  if (!m->name) return m;
  uint32_t bit = UINT32_C(1) << (m - members);
  if (p->seen & bit) *ok = refuse(p, m->what, "given twice");
  p->seen |= bit;
  return m;
}

/* A new output may have the members that the one before it had. */
static void forget_output(parser *p) {
  for (int i = 0; i < N_MEMBERS; i++)
    if (members[i].in == OUTPUT || members[i].in == OUTPUT_PARAMETERS) p->seen &= ~(UINT32_C(1) << i);
  p->output = (oip_output_request){0};
  p->output_named = false;
}

static int push(parser *p, place to) {
  if (p->depth == DEPTH_MAX) {
    problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST, "body: JSON nested deeper than %d", DEPTH_MAX);
    return 0;
  }
  p->stack[p->depth++] = to;
  return 1;
}

static int open_value(parser *p, value_kind kind) {
  bool ok;
  if (here(p) == SKIPPED) return push(p, SKIPPED);
  if (here(p) == DATA)
    return kind == IS_ARRAY ? push(p, DATA) : expected(p, "inputs[0].data", "numbers or strings", kind);
  if (here(p) == REQUEST_PARAMETERS) {
    problem_set(&p->inf->problem, PROBLEM_INVALID_OPTION,
                "parameters.%s: expected a string, a number or a boolean, got %s", p->name, kind_names[kind]);
    return 0;
  }
  const member *m = take_member(p, kind, &ok);
  if (!m || !ok) return ok && push(p, SKIPPED);
  if (m->to == INPUT) {
    if (p->tensor->given) return refuse(p, "inputs", "expected one, '" OIP_INPUT_NAME "'; got more");
    p->tensor->given = true;
  }
  if (m->to == OUTPUT) forget_output(p);
  if (m->to == OUTPUTS) p->inf->oip->outputs_listed = true;
  if (m->to == SHAPE) p->tensor->has_shape = true;
  if (m->to == DATA) p->tensor->has_data = true;
  return push(p, m->to);
}

static int end_output(parser *p) {
  oip_request *o = p->inf->oip;
  if (!p->output_named) return refuse(p, "outputs.name", "missing");
  for (size_t i = 0; i < o->n_outputs; i++)
    if (o->outputs[i].output == p->output.output)
      return refuse(p, oip_output_name(p->output.output), "asked for twice");
  if (p->output.classification && p->output.output != OIP_SCORES)
    return refuse(p, "outputs.parameters.classification", "only 'scores' has classes");
  o->outputs[o->n_outputs++] = p->output;
  return 1;
}

static int close_value(void *context) {
  parser *p = context;
  place left = here(p);
  p->depth--;
  return left == OUTPUT ? end_output(p) : 1;
}

/* A number of JSON as an integer of at most `max`; false when it is none. 4.0 and 4e0 are integers too. */
static bool take_integer(const value *v, uint64_t max, uint64_t *out) {
  char text[NUMBER_BYTES_MAX + 1], *end;
  if (v->kind != IS_NUMBER || v->n > NUMBER_BYTES_MAX) return false;
  memcpy(text, v->text, v->n);
  text[v->n] = 0;
  if (strspn(text, "0123456789") == v->n && v->n < 20) {
    *out = strtoull(text, &end, 10);
    return *out <= max;
  }
  double real = strtod(text, &end);
  if (!(real >= 0 && real <= 0x1p53) || real != floor(real)) return false;
  *out = (uint64_t)real;
  return *out <= max;
}

static int number_of_data(parser *p, const value *v) {
  char text[NUMBER_BYTES_MAX + 1];
  size_t i = p->tensor->n_values;
  if (i == p->max_values) {
    problem_set(&p->inf->problem, PROBLEM_TOO_LARGE, "inputs[0].data: more numbers than %d pictures have", IMAGES_MAX);
    return 0;
  }
  if (v->n > NUMBER_BYTES_MAX) return refuse(p, "inputs[0].data", "a number of more than 400 characters");
  memcpy(text, v->text, v->n);
  text[v->n] = 0;
  float number = strtof(text, NULL);
  if (!inference_append(p->data, &number, sizeof number)) {
    p->inf->problem = p->data->problem;
    return 0;
  }
  p->tensor->n_values++;
  return 1;
}

/* A picture: base64 in place of its bytes, since JSON has no bytes. */
static int string_of_data(parser *p, const value *v) {
  size_t i = p->tensor->n_values, n = 0, bad = 0;
  uint8_t *bytes = malloc(base64_decoded_bound(v->n));
  bool ok = bytes && base64_decode(v->text, v->n, bytes, &n, &bad);
  if (!bytes)
    problem_set(&p->inf->problem, PROBLEM_BUSY, "out of memory; try again");
  else if (!ok)
    problem_set(&p->inf->problem, PROBLEM_UNDECODABLE, "inputs[0].data[%zu]: not base64 at character %zu", i, bad);
  else if (!(ok = inference_begin_image(p->data) && inference_append(p->data, bytes, n)))
    p->inf->problem = p->data->problem;
  free(bytes);
  p->tensor->n_values++;
  return ok;
}

static int take_data(parser *p, const value *v) {
  if (v->kind != IS_NUMBER && v->kind != IS_STRING) return expected(p, "inputs[0].data", "numbers or strings", v->kind);
  bool text = v->kind == IS_STRING;
  if (p->tensor->n_values && p->tensor->data_is_text != text)
    return refuse(p, "inputs[0].data", "numbers and strings mixed");
  p->tensor->data_is_text = text;
  return text ? string_of_data(p, v) : number_of_data(p, v);
}

static int take_option(parser *p, const value *v) {
  char text[TEXT_BYTES_MAX + 1];
  option_value o = {.kind = OPTION_OTHER, .text = kind_names[v->kind]};
  if (oip_option_has_no_place(p->name)) {
    problem_set(&p->inf->problem, PROBLEM_INVALID_OPTION,
                "parameters.%s: has no place in this protocol; POST /v1/models/{model}/classify has it", p->name);
    return 0;
  }
  if (v->kind == IS_BOOLEAN) {
    o = (option_value){.kind = OPTION_BOOLEAN, .integer = v->truth};
  } else if (v->kind != IS_NULL) {
    if (v->n > TEXT_BYTES_MAX || memchr(v->text, 0, v->n)) return refuse(p, p->name, "not a value of any option");
    memcpy(text, v->text, v->n);
    text[v->n] = 0;
    bool integer = v->kind == IS_NUMBER && v->n < 19 && strspn(text, "-0123456789") == v->n;
    /* Some clients know only strings: those are read as in a query. */
    o = v->kind == IS_STRING ? (option_value){.kind = OPTION_TEXT, .text = text}
        : integer            ? (option_value){.kind = OPTION_INTEGER, .integer = strtoll(text, NULL, 10)}
                             : (option_value){.kind = OPTION_REAL, .real = strtod(text, NULL)};
  }
  return options_set(&p->inf->options, &p->inf->limits, p->name, &o, &p->inf->problem);
}

/* The protocol's own parameters, then our options. Sequences need a memory between requests, which networks here have
 * not; a priority has nothing to act on. */
static int take_parameter(parser *p, const value *v) {
  uint64_t n = 0;
  if (strcmp(p->name, "binary_data_output") == 0) {
    if (v->kind != IS_BOOLEAN) return expected(p, "parameters.binary_data_output", "a boolean", v->kind);
    p->inf->oip->binary_output = v->truth;
    return 1;
  }
  if (strcmp(p->name, "timeout") == 0) {
    if (!take_integer(v, UINT64_C(3600) * 1000 * 1000, &p->inf->oip->timeout_us))
      return refuse(p, "parameters.timeout", "expected microseconds, an integer from 0 to 3600000000");
    return 1;
  }
  if (strncmp(p->name, "sequence_", 9) == 0) {
    bool none = (v->kind == IS_BOOLEAN && !v->truth) || (v->kind == IS_STRING && v->n == 0) ||
                (take_integer(v, UINT64_MAX, &n) && n == 0);
    return none ? 1 : refuse(p, "parameters", "sequences are not supported: requests are independent");
  }
  if (strcmp(p->name, "priority") == 0 || strncmp(p->name, "triton_", 7) == 0) return 1;
  return take_option(p, v);
}

static bool text_is(const value *v, const char *text) {
  return v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

static int take_id(parser *p, const value *v) {
  oip_request *o = p->inf->oip;
  if (v->n > OIP_ID_MAX || memchr(v->text, 0, v->n)) return refuse(p, "id", "expected at most 256 bytes without NUL");
  memcpy(o->id, v->text, v->n);
  o->has_id = true;
  return 1;
}

static int take_output_name(parser *p, const value *v) {
  for (int i = 0; i < OIP_OUTPUTS; i++)
    if (text_is(v, oip_output_name((oip_output)i))) {
      p->output.output = (oip_output)i;
      p->output_named = true;
      return 1;
    }
  problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST,
              "outputs.name: there is no '%.*s'; there are: scores, spike_count, label", (int)(v->n < 64 ? v->n : 64),
              v->text);
  return 0;
}

static int take_datatype(parser *p, const value *v) {
  static const struct {
    const char *name;
    oip_datatype datatype;
  } known[] = {{"FP32", OIP_FP32}, {"UINT8", OIP_UINT8}, {"BYTES", OIP_BYTES}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (text_is(v, known[i].name)) p->tensor->datatype = known[i].datatype;
  if (p->tensor->datatype != OIP_NO_DATATYPE) return 1;
  problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST,
              "inputs[0].datatype: expected FP32 (normalised), UINT8 (pixels) or BYTES (PNGs), got '%.*s'",
              (int)(v->n < 64 ? v->n : 64), v->text);
  return 0;
}

static int take_dimension(parser *p, const value *v) {
  uint64_t n = 0;
  if (p->tensor->n_dimensions == OIP_DIMENSIONS_MAX) return refuse(p, "inputs[0].shape", "more than 4 dimensions");
  if (!take_integer(v, INT32_MAX, &n)) return refuse(p, "inputs[0].shape", "expected integers from 0 to 2147483647");
  p->tensor->shape[p->tensor->n_dimensions++] = (int64_t)n;
  return 1;
}

static int take_known(parser *p, const member *m, const value *v) {
  uint64_t n = 0;
  switch (m->in) {
    case REQUEST: return take_id(p, v);
    case SHAPE: return take_dimension(p, v);
    case INPUT:
      if (strcmp(m->name, "datatype") == 0) return take_datatype(p, v);
      return text_is(v, OIP_INPUT_NAME) ? 1 : refuse(p, m->what, "the only input there is is '" OIP_INPUT_NAME "'");
    case INPUT_PARAMETERS:
      p->tensor->has_binary_size = true;
      return take_integer(v, UINT64_MAX, &p->tensor->binary_size) ? 1
                                                                  : refuse(p, m->what, "expected a number of bytes");
    case OUTPUT: return take_output_name(p, v);
    case OUTPUT_PARAMETERS:
      if (m->kind == IS_BOOLEAN) {
        p->output.binary = v->truth;
        p->output.binary_given = true;
        return 1;
      }
      if (!take_integer(v, UINT32_MAX, &n)) return refuse(p, m->what, "expected a number of classes");
      p->output.classification = (uint32_t)n;
      return 1;
    default: return 1;
  }
}

static int scalar(parser *p, const value *v) {
  bool ok;
  if (here(p) == SKIPPED) return 1;
  if (here(p) == DATA) return take_data(p, v);
  if (here(p) == REQUEST_PARAMETERS) return take_parameter(p, v);
  const member *m = take_member(p, v->kind, &ok);
  return m && ok ? take_known(p, m, v) : ok;
}

static int on_null(void *context) {
  return scalar(context, &(value){.kind = IS_NULL, .text = ""});
}
static int on_boolean(void *context, int truth) {
  return scalar(context, &(value){.kind = IS_BOOLEAN, .truth = truth, .text = ""});
}
static int on_number(void *context, const char *text, size_t n) {
  return scalar(context, &(value){.kind = IS_NUMBER, .text = text, .n = n});
}
static int on_string(void *context, const unsigned char *text, size_t n) {
  return scalar(context, &(value){.kind = IS_STRING, .text = (const char *)text, .n = n});
}
static int on_object(void *context) {
  return open_value(context, IS_OBJECT);
}
static int on_array(void *context) {
  return open_value(context, IS_ARRAY);
}
static int on_name(void *context, const unsigned char *text, size_t n) {
  parser *p = context;
  if (n > NAME_MAX_BYTES || memchr(text, 0, n)) {
    strcpy(p->name, "(a long name)");
    return 1;
  }
  memcpy(p->name, text, n);
  p->name[n] = 0;
  return 1;
}

/* yajl does not look whether memory was given. So it gets blocks from here, all of them on one list, and when there is
 * no more, the parse is left by a jump and the list freed. It allocates only between calls of ours, so that the jump
 * passes over frames of yajl's alone. */
typedef struct links {
  struct links *next, *before;
} links;

typedef struct block {
  links links;
  max_align_t bytes[];
} block;

typedef struct blocks {
  links list; /* a ring: its head */
  jmp_buf no_memory;
} blocks;

static block *block_of(void *bytes) {
  return (block *)((char *)bytes - offsetof(block, bytes));
}

static void blocks_free(void *context, void *bytes) {
  (void)context;
  if (!bytes) return;
  block *b = block_of(bytes);
  b->links.next->before = b->links.before;
  b->links.before->next = b->links.next;
  free(b);
}

static void *blocks_realloc(void *context, void *bytes, size_t n) {
  blocks *all = context;
  block *b = n < SIZE_MAX - sizeof *b ? realloc(bytes ? block_of(bytes) : NULL, sizeof *b + n) : NULL;
  if (!b) longjmp(all->no_memory, 1);
  if (!bytes) b->links = (links){all->list.next, &all->list};
  b->links.before->next = b->links.next->before = &b->links;
  return b->bytes;
}

static void *blocks_malloc(void *context, size_t n) {
  return blocks_realloc(context, NULL, n);
}

static void parse(parser *p, blocks *all, const unsigned char *text, size_t n) {
  static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                           .yajl_boolean = on_boolean,
                                           .yajl_number = on_number,
                                           .yajl_string = on_string,
                                           .yajl_start_map = on_object,
                                           .yajl_map_key = on_name,
                                           .yajl_end_map = close_value,
                                           .yajl_start_array = on_array,
                                           .yajl_end_array = close_value};
  yajl_alloc_funcs memory = {blocks_malloc, blocks_realloc, blocks_free, all};
  yajl_handle y = yajl_alloc(&callbacks, &memory, p);
  yajl_status status = yajl_parse(y, text, n);
  if (status == yajl_status_ok) status = yajl_complete_parse(y);
  if (status == yajl_status_error) {
    const char *why = (const char *)yajl_get_error(y, 0, text, n);
    problem_set(&p->inf->problem, PROBLEM_BAD_REQUEST, "body: not JSON at byte %zu: %.*s", yajl_get_bytes_consumed(y),
                (int)strcspn(why, "\n"), why);
  }
}

/* False when there was no memory. A function of its own: what it would change between setjmp and longjmp is not its. */
static bool parse_guarded(parser *p, blocks *all, const char *text, size_t n) {
  if (setjmp(all->no_memory) != 0) return false;
  parse(p, all, (const unsigned char *)text, n);
  return true;
}

bool json_oip_parse(inference *inf, const char *text, size_t n, size_t max_values, oip_tensor *tensor,
                    inference *data) {
  parser p = {.inf = inf, .data = data, .tensor = tensor, .max_values = max_values};
  blocks all = {.list = {&all.list, &all.list}};
  if (!parse_guarded(&p, &all, text, n)) problem_set(&inf->problem, PROBLEM_BUSY, "out of memory; try again");
  for (links *b = all.list.next, *next; b != &all.list; b = next) {
    next = b->next;
    free(b); /* a block begins with its links */
  }
  return inf->problem.kind == PROBLEM_NONE;
}
