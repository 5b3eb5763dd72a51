/* The option table, JSON requests, and settings: what is taken, what is refused and how it is said. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/json_in.h"
#include "server/options.h"

static const option_limits limits = {.max_timesteps = 100};

static bool set(options *o, const char *name, option_value value, problem *p) {
  *p = (problem){0};
  return options_set(o, &limits, name, &value, p);
}

static option_value text(const char *s) {
  return (option_value){.kind = OPTION_TEXT, .text = s};
}
static option_value integer(long long v) {
  return (option_value){.kind = OPTION_INTEGER, .integer = v};
}

static void options_are_taken_once(void **state) {
  (void)state;
  options o = {0};
  problem p;
  assert_true(set(&o, "T", text("100"), &p));
  assert_int_equal(o.run.timesteps, 100);
  assert_false(set(&o, "timesteps", text("8"), &p));
  assert_non_null(strstr(p.detail, "timesteps: given twice"));
  assert_int_equal(o.run.timesteps, 100);
  assert_true(set(&o, "init", text("zero"), &p));
  assert_int_equal(o.run.init, SNN_INIT_ZERO);
  assert_true(set(&o, "trace", text("layers"), &p));
  assert_true(o.trace_layers);
  assert_true(set(&o, "top_k", integer(7), &p));
  assert_int_equal(o.top_k, 7);
  assert_true(set(&o, "reference", (option_value){.kind = OPTION_BOOLEAN, .integer = 1}, &p));
  assert_true(o.reference && !o.preview);
  assert_true(set(&o, "preview", text("1"), &p));
  assert_true(o.preview);
  assert_true(set(&o, "timeout_ms", text("1500"), &p));
  assert_int_equal(o.timeout_ms, 1500);
  assert_true(set(&o, "shift", integer(0), &p));
  assert_true(set(&o, "seed", text("4294967295"), &p));
  assert_int_equal(o.run.seed, UINT32_MAX);
  assert_true(set(&o, "budget_ms", integer(3600000), &p));
  assert_true(o.run.budget_ns == 3600000000000u);
}

static void traces_contain_each_other(void **state) {
  (void)state;
  static const char *const names[] = {"none", "layers", "steps"};
  for (int i = 0; i < 3; i++) {
    options o = {0};
    problem p;
    assert_true(set(&o, "trace", text(names[i]), &p));
    assert_int_equal(o.trace_layers, i >= 1);
    assert_int_equal(o.trace_steps, i == 2);
    assert_string_equal(option_trace_name(&o), names[i]);
  }
}

static void rules_come_in_three_forms(void **state) {
  (void)state;
  static const option_value forms[] = {
      {.kind = OPTION_RULE, .rule = {0.25, 12}},
      {.kind = OPTION_TEXT, .text = "0.25,12"},
      {.kind = OPTION_STRING, .text = ".25,12"},
      {.kind = OPTION_TEXT, .text = "{\"patience\": 12, \"margin\": 0.25}"},
  };
  problem p;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    options o = {0};
    const bool ok = set(&o, "stop", forms[i], &p);
    if (i == 2) { /* a number begins with a digit */
      assert_false(ok);
      continue;
    }
    assert_true(ok && o.run.stop_margin == 0.25f);
    assert_int_equal(o.run.stop_patience, 12);
  }
  static const char *const wrong[] = {"",
                                      ",",
                                      "1",
                                      "1,",
                                      ",1",
                                      "0.5,0",
                                      "0.5,4097",
                                      "1.01,1",
                                      "0.5,1,1",
                                      "0.5, 1",
                                      "0.5,1e1",
                                      "-0.5,1",
                                      "inf,1",
                                      "{}",
                                      "{\"margin\":1}",
                                      "{\"margin\":1,\"patience\":1",
                                      "{\"margin\":1,\"patience\":true}",
                                      "[1,2]",
                                      "{\"margin\":1,\"margin\":1,\"patience\":1}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    options o = {0}, before = {0};
    assert_false(set(&o, "stop", text(wrong[i]), &p));
    assert_ptr_equal(strstr(p.detail, "stop: expected a margin from 0 to 1"), p.detail);
    assert_memory_equal(&o, &before, sizeof o);
  }
  assert_false(set(&(options){0}, "stop", (option_value){.kind = OPTION_RULE, .rule = {NAN, 1}}, &p));
  assert_false(set(&(options){0}, "stop", (option_value){.kind = OPTION_RULE, .rule = {0.5, -1}}, &p));
  assert_false(set(&(options){0}, "stop", integer(1), &p));
}

static void every_choice_is_accepted_by_its_name(void **state) {
  (void)state;
  for (size_t k = 0; k < n_option_choices; k++)
    for (unsigned i = 0; option_choices[k].value_name(i); i++) {
      options o = {0};
      problem p;
      assert_true(set(&o, option_choices[k].name, text(option_choices[k].value_name(i)), &p));
      assert_false(set(&(options){0}, option_choices[k].name, text("no-such-thing"), &p));
      assert_non_null(strstr(p.detail, option_choices[k].value_name(i)));
    }
}

static void refusals_leave_options_alone(void **state) {
  (void)state;
  static const struct {
    const char *name;
    option_value value;
    const char *said;
  } cases[] = {
      {"T", {.kind = OPTION_TEXT, .text = "0"}, "timesteps: expected an integer from 1 to 100, got '0'"},
      {"T", {.kind = OPTION_TEXT, .text = "101"}, "timesteps: expected an integer from 1 to 100, got '101'"},
      {"T", {.kind = OPTION_TEXT, .text = "18446744073709551617"}, "timesteps: expected"},
      {"T", {.kind = OPTION_TEXT, .text = "8 "}, "timesteps: expected"},
      {"T", {.kind = OPTION_INTEGER, .integer = -3}, "timesteps: expected an integer from 1 to 100, got -3"},
      {"T", {.kind = OPTION_INTEGER, .integer = 4294967304}, "timesteps: expected"},
      {"T", {.kind = OPTION_STRING, .text = "8"}, "timesteps: expected"},
      {"T", {.kind = OPTION_BOOLEAN, .integer = 1}, "timesteps: expected an integer from 1 to 100, got true"},
      {"neuron", {.kind = OPTION_INTEGER, .integer = 0}, "neuron: expected one of: "},
      {"neuron", {.kind = OPTION_OTHER, .text = "null"}, "neuron: expected one of: "},
      {"reference", {.kind = OPTION_STRING, .text = "true"}, "reference: expected true or false, got 'true'"},
      {"reference", {.kind = OPTION_TEXT, .text = ""}, "reference: expected true or false, got an empty text"},
      {"shift", {.kind = OPTION_INTEGER, .integer = 2}, "shift: expected an integer from 0 to 1, got 2"},
      {"tau", {.kind = OPTION_INTEGER, .integer = 0}, "tau: expected a number above 0 and at most 1, got 0"},
      {"tau", {.kind = OPTION_REAL, .real = 1.5}, "tau: expected a number above 0 and at most 1, got a number"},
      {"tau", {.kind = OPTION_TEXT, .text = "nan"}, "tau: expected a number above 0 and at most 1, got 'nan'"},
      {"Timesteps",
       {.kind = OPTION_TEXT, .text = "8"},
       "Timesteps: unknown option; there are: timesteps, neuron, tau, init"},
      {"", {.kind = OPTION_TEXT, .text = "8"}, "(empty name): unknown option"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    options o = {0}, before = {0};
    problem p;
    assert_false(set(&o, cases[i].name, cases[i].value, &p));
    assert_int_equal(p.kind, PROBLEM_INVALID_OPTION);
    assert_ptr_equal(strstr(p.detail, cases[i].said), p.detail);
    assert_memory_equal(&o, &before, sizeof o);
  }
}

static void batching_looks_at_what_the_run_sees(void **state) {
  (void)state;
  options a = {.run.timesteps = 8}, b = a;
  b.top_k = 3;
  b.trace_layers = b.reference = b.preview = true;
  b.timeout_ms = 5;
  b.given = 7;
  assert_true(options_run_equal(&a, &b));
  options leaky = a, shifted = a;
  leaky.run.tau = 0.5f;
  shifted.run.shift = 1;
  assert_false(options_run_equal(&a, &leaky));
  assert_false(options_run_equal(&a, &shifted));
  b.run.timesteps = 9;
  assert_false(options_run_equal(&a, &b));
  b = a;
  b.run.seed = 1;
  assert_false(options_run_equal(&a, &b));
  b = a;
  b.run.stop_patience = 1;
  assert_false(options_run_equal(&a, &b));
  b = a;
  b.trace_steps = true; /* much to keep: runs alone */
  assert_false(options_run_equal(&a, &b));
  a.run.budget_ns = b.run.budget_ns = 1; /* is nobody else's */
  assert_false(options_run_equal(&a, &b));
  a.run.budget_ns = 0;
  b = a;
  b.run.init = SNN_INIT_HALF;
  a.run.init = SNN_INIT_ZERO;
  assert_false(options_run_equal(&a, &b));
}

/* An inference without a model, as json_in needs it. */
static bool parse(inference *inf, ledger *l, const char *body) {
  *inf = (inference){.ledger = l, .limits = limits, .kind = BODY_JSON};
  assert_true(inference_append(inf, body, strlen(body)));
  return json_in_classify(inf);
}

static void json_bodies_become_spans(void **state) {
  (void)state;
  ledger l;
  inference inf;
  ledger_init(&l, 1, 1 << 20);
  assert_true(parse(&inf, &l, "{\"images\": [\"AAEC\", \"\", \"/w==\"], \"T\": 9}"));
  assert_int_equal(inf.n_images, 3);
  assert_int_equal(inf.n_body, 4);
  assert_memory_equal(inf.body, "\0\1\2\xff", 4);
  assert_int_equal(inf.images[0].n, 3);
  assert_int_equal(inf.images[1].n, 0);
  assert_int_equal(inf.images[2].offset, 3);
  assert_int_equal(inf.images[2].n, 1);
  assert_int_equal(inf.options.run.timesteps, 9);
  inference_drop_body(&inf);
  assert_int_equal(l.bytes, 0);
  ledger_destroy(&l);
}

static void json_refusals_keep_the_books(void **state) {
  (void)state;
  static const struct {
    const char *body;
    problem_kind kind;
  } cases[] = {{"{", PROBLEM_BAD_REQUEST},
               {"[]", PROBLEM_BAD_REQUEST},
               {"3", PROBLEM_BAD_REQUEST},
               {"{\"images\": [\"AAEC\", 5]}", PROBLEM_BAD_REQUEST},
               {"{\"images\": [\"AAEC\", \"A\"]}", PROBLEM_UNDECODABLE},
               {"{\"images\": [], \"T\": 101}", PROBLEM_INVALID_OPTION},
               {"{\"images\": [], \"images\": []}", PROBLEM_BAD_REQUEST},
               {"{\"images\": {}}", PROBLEM_BAD_REQUEST},
               {"{\"images\": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", PROBLEM_BAD_REQUEST}};
  ledger l;
  ledger_init(&l, 1, 1 << 20);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    inference inf;
    assert_false(parse(&inf, &l, cases[i].body));
    assert_int_equal(inf.problem.kind, cases[i].kind);
    inference_drop_body(&inf);
    assert_int_equal(l.bytes, 0);
  }
  ledger_destroy(&l);
}

static config_action load(config *c, char *error, size_t n_error, const char *const *flags) {
  char *argv[16] = {(char *)(uintptr_t) "spiked"};
  int argc = 1;
  for (; flags && flags[argc - 1]; argc++) argv[argc] = (char *)(uintptr_t)flags[argc - 1];
  return config_load(argc, argv, c, error, n_error);
}

static void flag_beats_environment_beats_file_beats_default(void **state) {
  (void)state;
  char path[] = "/tmp/spiked-config-XXXXXX", error[256] = "";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  const char *content = "{\"models\": \"file\", \"queue\": 3, \"threads\": \"4\", \"listen\": \"[::1]:1\"}";
  assert_int_equal(write(fd, content, strlen(content)), strlen(content));
  close(fd);
  config c;
  setenv("SPIKED_QUEUE", "5", 1);
  setenv("SPIKED_MAX_BODY", "2048", 1);
  const char *flags[] = {"--config", path, "--queue=6", NULL};
  assert_int_equal(load(&c, error, sizeof error, flags), CONFIG_RUN);
  assert_int_equal(c.queue, 6);
  assert_int_equal(c.max_body, 2048);
  assert_int_equal(c.threads, 4);
  assert_string_equal(c.models, "file");
  assert_string_equal(c.listen.host, "::1");
  assert_int_equal(c.listen.port, 1);
  assert_int_equal(c.max_timesteps, 4096);
  assert_false(c.log_json);
  flags[2] = "--check-config";
  assert_int_equal(load(&c, error, sizeof error, flags), CONFIG_CHECK);
  assert_int_equal(c.queue, 5);
  unsetenv("SPIKED_QUEUE");
  assert_int_equal(load(&c, error, sizeof error, flags), CONFIG_CHECK);
  assert_int_equal(c.queue, 3);
  unsetenv("SPIKED_MAX_BODY");
  unlink(path);
  assert_int_equal(load(&c, error, sizeof error, flags), CONFIG_INVALID);
  assert_string_equal(error, "configuration file: No such file or directory");
}

static void numbers_are_strict(void **state) {
  (void)state;
  uint64_t v = 7;
  static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1e1", "1.0", "18446744073709551616", "101"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(config_parse_unsigned(bad[i], 100, &v));
  assert_int_equal(v, 7);
  assert_true(config_parse_unsigned("0100", 100, &v));
  assert_int_equal(v, 100);
  assert_true(config_parse_unsigned("18446744073709551615", UINT64_MAX, &v));
  assert_true(v == UINT64_MAX);
  assert_false(config_parse_unsigned("5", 3, &v));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_are_taken_once),
      cmocka_unit_test(every_choice_is_accepted_by_its_name),
      cmocka_unit_test(traces_contain_each_other),
      cmocka_unit_test(rules_come_in_three_forms),
      cmocka_unit_test(refusals_leave_options_alone),
      cmocka_unit_test(batching_looks_at_what_the_run_sees),
      cmocka_unit_test(json_bodies_become_spans),
      cmocka_unit_test(json_refusals_keep_the_books),
      cmocka_unit_test(flag_beats_environment_beats_file_beats_default),
      cmocka_unit_test(numbers_are_strict),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
