# spiked: build, test and run. `make help` lists the targets.
#
# Every mode builds into its own folder, build/$(MODE): release (default), asan, tsan, cov, fuzz.

MODE ?= release
BUILD := build/$(MODE)
VERSION := 0.1.0

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
CC := gcc
PYTHON ?= /usr/bin/python3
PORT ?= 8080
JOBS := $(shell nproc)
comma := ,

PACKAGES := libmicrohttpd jansson libpng nettle yajl zlib libarchive
CPPFLAGS_ALL := -Iinclude -Icore -D_GNU_SOURCE -DSPIKED_VERSION=\"$(VERSION)\" $(CPPFLAGS)
ifdef CI
  WERROR := -Werror
endif
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual
# No contraction into fused multiply-adds: float answers are then the same on every machine and at every thread count.
CFLAGS_ALL := -std=c11 $(WARNINGS) -ffp-contract=off -fopenmp -pthread -fno-common -fvisibility=hidden $(WERROR)
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm
# ARCHIVE=static links the tar reader in: as a shared library it brings an XML parser and 36 MB of Unicode tables for formats never read here.
ifeq ($(ARCHIVE),static)
  LDLIBS := $(patsubst -larchive,-Wl$(comma)-Bstatic -larchive -Wl$(comma)-Bdynamic,$(LDLIBS))
endif
LDFLAGS_ALL := -fopenmp -pthread $(LDFLAGS)

ifeq ($(MODE),release)
  CFLAGS_ALL += -O3 -g -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
  LDFLAGS_ALL += -pie -Wl,-z,relro,-z,now,-z,noexecstack
else ifeq ($(MODE),asan)
  CFLAGS_ALL += -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
  LDFLAGS_ALL += -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
  CC := clang
  CFLAGS_ALL += -O1 -g -fno-omit-frame-pointer -fsanitize=thread
  LDFLAGS_ALL += -fsanitize=thread
else ifeq ($(MODE),cov)
  CFLAGS_ALL += -Og -g --coverage -fprofile-update=atomic
  LDFLAGS_ALL += --coverage
else ifeq ($(MODE),fuzz)
  CC := clang
  CFLAGS_ALL += -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
  LDFLAGS_ALL += -fsanitize=address,undefined
else
  $(error MODE is one of release asan tsan cov fuzz, not '$(MODE)')
endif

LIB_SOURCES := $(filter-out core/tool/%,$(wildcard core/*/*.c))
TOOL_SOURCES := $(wildcard core/tool/*.c)
SERVER_SOURCES := $(wildcard server/*.c)
SPIKECTL_SOURCES := $(wildcard clients/spikectl/*.c)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
C_FILES := $(wildcard include/snn/*.h core/*/*.[ch] server/*.[ch] clients/*/*.[ch] tests/*/*.[ch])

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libsnn.a
SERVER_LIB := $(BUILD)/libserver.a # all of the daemon but main(), so that tests can link it
# The load generator of tests/load.
OPENLOOP := $(BUILD)/openloop
PROGRAMS := $(BUILD)/snn $(BUILD)/spiked $(BUILD)/spikectl
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SOURCES))

# One short line a command; V=1 shows the commands themselves.
say = $(if $(V),,@echo '  $(1)  $(2)' && )

.DEFAULT_GOAL := all
.PHONY: deploy-test bench-peers failover load load-job recalibrate install deb build-tests build-fuzzers all help deps demo serve test test-run unit pytest coverage bench lint format fuzz fuzz-run fuzz-replay clean layering
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) ## build the programs into build/$(MODE)

help: ## this list
	@echo "make [MODE=release|asan|tsan|cov|fuzz] [target]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CFLAGS) -MMD -MP -c $< -o $@

# Only these files are compiled for their instruction set; dispatch.c decides at run time which may run.
ifeq ($(shell uname -m),x86_64)
$(BUILD)/obj/core/kernels/avx2.o: CFLAGS_ALL += -mavx2
$(BUILD)/obj/core/kernels/avx512.o: CFLAGS_ALL += -mavx512f
$(BUILD)/obj/core/kernels/dense_avx2.o: CFLAGS_ALL += -mavx2
$(BUILD)/obj/core/kernels/dense_avx512.o: CFLAGS_ALL += -mavx512f -mavx512bw -mavx512vnni
$(BUILD)/obj/core/kernels/int8_avx2.o: CFLAGS_ALL += -mavx2 -mbmi -mpopcnt
$(BUILD)/obj/core/kernels/int8_avx512.o: CFLAGS_ALL += -mavx512f -mavx512bw -mavx512vbmi -mavx512vbmi2 -mavx512vnni -mpopcnt
endif

# Counting every line of the inner loops with atomic adds takes minutes. Lost counts do not matter there.
ifeq ($(MODE),cov)
$(BUILD)/obj/core/kernels/%.o $(BUILD)/obj/core/neurons/%.o $(BUILD)/obj/core/sim/%.o: CFLAGS_ALL += -O2 -fprofile-update=single
endif

# The web page is part of the program; charts come from Debian's Chart.js.
CHART_JS := /usr/share/javascript/chart.js/chart.min.js
$(BUILD)/obj/server/web_files.o: CPPFLAGS_ALL += -DCHART_JS=\"$(CHART_JS)\"
$(BUILD)/obj/server/web_files.o: $(wildcard clients/web/*) server/openapi.json $(CHART_JS)
$(CHART_JS):
	@echo 'missing: $@ (Debian package libjs-chart.js): run make deps' >&2; false

$(LIB): $(call objects,$(LIB_SOURCES))
$(SERVER_LIB): $(call objects,$(filter-out server/main.c,$(SERVER_SOURCES)))
$(LIB) $(SERVER_LIB):
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)ar rcs $@ $^

$(BUILD)/snn: $(call objects,$(TOOL_SOURCES)) $(LIB)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -o $@

$(BUILD)/spiked: $(call objects,server/main.c) $(SERVER_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -o $@

$(BUILD)/spikectl: $(call objects,$(SPIKECTL_SOURCES))
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ $(shell pkg-config --libs libcurl jansson) -lm -o $@

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(SERVER_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -lcmocka -o $@
$(BUILD)/unit/test_allocations: private LDFLAGS_ALL += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap # to count
$(BUILD)/unit/test_oip: private LDFLAGS_ALL += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc # to refuse memory
$(call objects,$(UNIT_SOURCES)): CPPFLAGS_ALL += -I. -Itests $(if $(filter asan tsan cov,$(MODE)),-DCASES_SHARE=4)

# Models for the parity tests, made once for all modes. Their sums are torch's, in one order, so the bytes repeat.
FIXTURES := build/fixtures/.made
FIXTURE_SCRIPTS := tests/support/make_onnx_fixtures.py tests/support/export_networks.py
$(FIXTURES): $(FIXTURE_SCRIPTS) tests/support/onnx_float.py
	@rm -rf $(@D)
	@set -e; for s in $(FIXTURE_SCRIPTS); do echo "$$s $(@D)"; $(PYTHON) $$s $(@D); done
	@touch $@

FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SOURCES))
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(SERVER_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer $^ $(LDLIBS) -o $@

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

deps: ## install what building needs (Debian packages, as root or with sudo)
	@deploy/install-deps.sh build

demo: ## from nothing to ten classified digits: install, build, start the daemon, ask it, stop it
	@deploy/install-deps.sh build demo
	@$(MAKE) --no-print-directory -s -j$(JOBS) all
	@deploy/demo.sh $(BUILD)

serve: all ## run the daemon with the bundled models on 127.0.0.1:$(PORT)
	$(BUILD)/spiked --models models --listen 127.0.0.1:$(PORT)

# ---- tests -----------------------------------------------------------------------------------------------------

test: ## install what tests need, build, run everything (release, sanitizers, fuzz corpora), print the line coverage
	@deploy/install-deps.sh build demo test
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=release build-tests
	@$(MAKE) --no-print-directory MODE=release test-run
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=asan build-tests
	@$(MAKE) --no-print-directory MODE=asan test-run
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=fuzz build-fuzzers
	@$(MAKE) --no-print-directory MODE=fuzz fuzz-replay
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=cov build-tests
	@$(MAKE) --no-print-directory MODE=cov test-run coverage

SANITIZE_ENV := ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
TEST_ENV := OMP_WAIT_POLICY=passive $(SANITIZE_ENV) TESTS_DIR=$(CURDIR)/tests SNN_BIN=$(CURDIR)/$(BUILD)/snn \
  SPIKED_BIN=$(CURDIR)/$(BUILD)/spiked OPENLOOP_BIN=$(CURDIR)/$(OPENLOOP) ONNX_FIXTURES=$(CURDIR)/$(dir $(FIXTURES))

$(OPENLOOP): $(call objects,tests/load/openloop.c)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ -lm -o $@

build-tests: $(PROGRAMS) $(UNIT_TESTS) $(OPENLOOP)
build-fuzzers: $(FUZZERS)

test-run: unit pytest ## the unit and black-box tests of one MODE

unit: $(PROGRAMS) $(UNIT_TESTS) $(FIXTURES) ## the C tests of one MODE
	@printf '%s\n' $(UNIT_TESTS) | $(TEST_ENV) xargs --process-slot-var=SLOT -P $(JOBS) -n 1 tests/run-unit.sh $(MODE)

# The page and what is in deploy/ are the same in every mode: looking once is enough; the clients are none of what coverage counts. axe-core (npm) checks accessibility.
AXE := build/node/node_modules/axe-core/axe.min.js
ifneq ($(MODE),release)
  PYTEST_FLAGS := --ignore=tests/browser --ignore=tests/deploy $(if $(filter cov,$(MODE)),--ignore=tests/clients)
endif
$(AXE):
	@mkdir -p build/node
	@npm install --prefix build/node --ignore-scripts --no-audit --no-fund --silent axe-core@4 || echo 'axe-core: not to be had, its test will be skipped'

# OpenAPI documents are checked by a validator of somebody else.
OPENAPI := build/node/node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js
$(OPENAPI): | $(AXE) # one npm at a time
	@mkdir -p build/node
	@npm install --prefix build/node --ignore-scripts --no-audit --no-fund --silent @seriousme/openapi-schema-validator@2 || \
	  echo 'openapi-schema-validator: not to be had, its test will be skipped'

# Black-box tests wait more than they compute: a few files at a time. PYTEST_JOBS=0 for one after another.
PYTEST_JOBS ?= 3
pytest: $(PROGRAMS) $(OPENLOOP) $(OPENAPI) $(if $(PYTEST_FLAGS),,$(AXE)) ## the tests through the programs, over HTTP and in a browser of one MODE
	@echo "== $(MODE) pytest"
	$(TEST_ENV) AXE_JS=$(CURDIR)/$(AXE) OPENAPI_VALIDATOR=$(CURDIR)/$(OPENAPI) $(PYTHON) -m pytest -q -p no:cacheprovider -n $(PYTEST_JOBS) --dist loadfile \
	  $(PYTEST_FLAGS) tests

CRASHES ?= 1000
RACES ?= 200
START_S ?= 1
fault: $(PROGRAMS) ## kill -9 while calibrating and activating CRASHES times, serving START_S after each; race two replicas RACES times
	CRASHES=$(CRASHES) RACES=$(RACES) START_S=$(START_S) $(TEST_ENV) $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/http/test_crashes.py

coverage: ## line coverage of what MODE=cov ran
	@gcovr --root . --gcov-ignore-parse-errors --object-directory build/cov/obj --filter core/ --filter server/ --exclude-unreachable-branches \
	  --sort-percentage 2>/dev/null | tail -n +5

fuzz: ## fuzz each parser for FUZZ_SECONDS (60) seconds
	@deploy/install-deps.sh build test
	@$(MAKE) --no-print-directory MODE=fuzz fuzz-run

FUZZ_SECONDS ?= 60
fuzz-run: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do n=$$(basename $$f); c=tests/fuzz/corpus/$${n#fuzz_}; mkdir -p build/corpus/$$n; \
	  echo "== $$n for $(FUZZ_SECONDS) s"; $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
	  -artifact_prefix=build/corpus/$$n- build/corpus/$$n $$c; done

fuzz-replay: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do n=$$(basename $$f); echo "== replay $$n"; \
	  mkdir -p build/corpus/replay-$$n; \
	  $$f -runs=5000 -seed=1 -verbosity=0 build/corpus/replay-$$n tests/fuzz/corpus/$${n#fuzz_} 2>&1 | tail -n 3; done

# ---- installation ----------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share
# Where services and settings lie: the system's folders for the distribution's prefix, else those below the prefix.
SYSCONF = $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

# The manual of a program from its own --help, so that it says what is true.
$(BUILD)/man/%: $(PROGRAMS)
	@mkdir -p $(@D)
	@help2man --no-info --section=$(subst .,,$(suffix $@)) --name='$(MANUAL)' $(BUILD)/$(basename $(@F)) -o $@
$(BUILD)/man/spiked.8: MANUAL := serve spiking neural networks over HTTP
$(BUILD)/man/snn.1: MANUAL := convert, inspect, evaluate and calibrate spiking neural networks

install: all ## install programs, manuals, completions, models and the systemd unit below PREFIX (/usr/local), DESTDIR before it
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/man/man8 $(SHARE)/spiked/models
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 clients/spikectl/spikectl.1 $(SHARE)/man/man1
	if command -v help2man >/dev/null; then $(MAKE) --no-print-directory $(BUILD)/man/spiked.8 $(BUILD)/man/snn.1; \
	  install -m 644 $(BUILD)/man/snn.1 $(SHARE)/man/man1; install -m 644 $(BUILD)/man/spiked.8 $(SHARE)/man/man8; fi
	install -D -m 644 clients/spikectl/completion.bash $(SHARE)/bash-completion/completions/spikectl
	install -D -m 644 clients/spikectl/_spikectl $(SHARE)/zsh/vendor-completions/_spikectl
	for m in models/*/; do n=$(SHARE)/spiked/models/$$(basename $$m); install -d $$n; install -m 644 $$m/model.safetensors $$m/MODEL.md $$n; \
	  for s in $$m/samples/*.png; do [ ! -e "$$s" ] || install -D -m 644 $$s $$n/samples/$$(basename $$s); done; done
	install -D -m 644 deploy/systemd/spiked.json $(DESTDIR)$(SYSCONF)/spiked/spiked.json
	install -d $(DESTDIR)$(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system
	sed 's,/usr/bin,$(PREFIX)/bin,; s,/etc/spiked,$(SYSCONF)/spiked,' deploy/systemd/spiked.service \
	  >$(DESTDIR)$(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system/spiked.service
	sed -i 's,/usr/share,$(PREFIX)/share,' $(DESTDIR)$(SYSCONF)/spiked/spiked.json

deb: ## build the Debian package into build/deb and run lintian over it
	@deploy/install-deps.sh build package
	@deploy/build-deb.sh $(VERSION)

failover: $(PROGRAMS) $(OPENLOOP) ## 100,000 requests through HAProxy while a replica is restarted or killed every 5 s
	@deploy/install-deps.sh build test
	$(TEST_ENV) $(PYTHON) tests/load/failover.py

load: $(PROGRAMS) $(OPENLOOP) ## latency against offered load up to ten times capacity, and beside 1,000 slow connections
	$(TEST_ENV) $(PYTHON) tests/load/load.py

load-job: $(PROGRAMS) $(OPENLOOP) ## p99 of public requests without and with a calibration job beside them (MODELS=, DATA=)
	$(TEST_ENV) $(PYTHON) tests/load/beside_job.py

recalibrate: $(PROGRAMS) ## a job with 200 pictures of DATA=, then accuracy on those of TEST= (class folders of PNGs)
	$(TEST_ENV) $(PYTHON) tests/load/recalibrate.py

deploy-test: all ## the Debian package, the container (as root), and every manifest against its schema
	@deploy/install-deps.sh build test package
	@npm install --prefix build/node --ignore-scripts --no-audit --no-fund --silent kubernetes-models@4 js-yaml@4 || true
	@deploy/build-deb.sh $(VERSION)
	$(TEST_ENV) $(PYTHON) -m pytest -q -p no:cacheprovider tests/deploy
	@deploy/test-container.sh

# ---- speed: tests/bench/README.md ------------------------------------------------------------------------------

BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -o $@

bench: all $(BENCHES) ## speed of kernels and of the bundled models at T = 1..128, one thread and all
	@$(PYTHON) tests/bench/bench.py $(BUILD) $(BUILD)/bench/bench.json models/*/model.safetensors

# Another network: make bench-peers MODEL=m.safetensors ONNX=m.onnx DATA=pictures [PEERS='--timesteps 8,32']
MODEL ?= models/lenet-mnist/model.safetensors
ONNX ?= $(BUILD)/bench/network.onnx
DATA ?= $(dir $(MODEL))samples
NODE_MODULES := build/peers/node_modules
bench-peers: all $(BENCHES) ## beside ONNX Runtime on the float network and a PyTorch spiking loop (ONNX=, MODEL=, DATA=)
	@deploy/install-deps.sh build bench
	@[ -d $(NODE_MODULES)/onnxruntime-node ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix build/peers onnxruntime-node
	@[ "$(ONNX)" != "$(BUILD)/bench/network.onnx" ] || $(PYTHON) tests/bench/write_onnx.py $(MODEL) $(ONNX)
	@NODE_PATH=$(CURDIR)/$(NODE_MODULES) $(PYTHON) tests/bench/peers.py --driver $(BUILD)/bench/driver --onnx $(ONNX) \
	  --model $(MODEL) --data $(DATA) --out $(BUILD)/bench/peers.json $(PEERS)

# ---- lint ------------------------------------------------------------------------------------------------------

lint: layering ## formatting, clang-tidy, cppcheck, layering
	@deploy/install-deps.sh build test lint
	@clang-format --dry-run -Werror $(C_FILES)
	@cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	  --suppress=missingIncludeSystem -Iinclude -Icore core server clients
	@mkdir -p build && printf '%s\n' -std=c11 -fopenmp -D_GNU_SOURCE -I$(CURDIR)/include -I$(CURDIR)/core \
	  '-DSPIKED_VERSION="$(VERSION)"' '-DCHART_JS="$(CHART_JS)"' >build/compile_flags.txt
	@printf '%s\n' $(filter %.c,$(filter core/% server/% clients/%,$(C_FILES))) | xargs -P $(JOBS) -n 4 clang-tidy --quiet -p build 2>/dev/null

format: ## put every C file into the house's format
	clang-format -i $(C_FILES)

# Which room may know what; see the architecture in core/README.md.
layering: ## check that no file includes what its room may not know
	@fail=0; deny() { if git grep -nE "$$1" -- $$2; then echo "layering: $$3" >&2; fail=1; fi; }; \
	deny '# *include [<"](microhttpd)' 'core clients include server/[!h]* server/h[!t]*' 'libmicrohttpd belongs in server/httpd*.c'; \
	deny '# *include [<"]png\.h' 'server clients include core/[!i]*' 'libpng belongs in core/image'; \
	deny '# *include [<"](yajl|zlib)' 'core clients include server/[!jc]*' 'yajl belongs in server/json_*, zlib in server/compress.c'; \
	deny '# *include [<"]jansson' 'include server/[!j]* core/[!mt]*' 'jansson belongs in core/model, core/tool, server/json_*'; \
	deny '# *include "(base|graph|onnx|model|convert|neurons|kernels|sim|image|dataset|calibrate|probe)/' 'server clients include core/tool' 'only include/snn is public'; \
	deny '# *include "(onnx|model|convert|sim|dataset|image|calibrate|probe|tool)/' 'core/graph core/neurons core/kernels core/base' 'a lower room includes a higher one'; \
	deny '# *include "(graph|neurons|sim)/' 'core/kernels core/base' 'kernels and base know no networks'; \
	exit $$fail

clean: ## remove everything built
	rm -rf build
