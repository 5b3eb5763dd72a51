# spiked: build, test and run. `make help` lists the targets.
#
# Every mode builds into its own folder, build/$(MODE): release (default), asan, tsan, cov.

MODE ?= release
BUILD := build/$(MODE)
VERSION := 0.1.0

CC := gcc
PYTHON ?= /usr/bin/python3
PORT ?= 8080
JOBS := $(shell nproc)

PACKAGES := libmicrohttpd jansson libpng nettle
CPPFLAGS_ALL := -Iinclude -Icore -D_GNU_SOURCE -DSPIKED_VERSION='"$(VERSION)"' $(CPPFLAGS)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual
# No contraction into fused multiply-adds: float answers are then the same on every machine and at every thread count.
CFLAGS_ALL := -std=c11 $(WARNINGS) -ffp-contract=off -fopenmp -pthread -fno-common -fvisibility=hidden $(WERROR)
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm
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
  CFLAGS_ALL += -O0 -g --coverage -fprofile-update=atomic
  LDFLAGS_ALL += --coverage
else
  $(error MODE is one of release asan tsan cov, not '$(MODE)')
endif

ifdef CI
  WERROR := -Werror
endif

LIB_SOURCES := $(filter-out core/tool/%,$(wildcard core/*/*.c))
TOOL_SOURCES := $(wildcard core/tool/*.c)
SERVER_SOURCES := $(wildcard server/*.c)
SUPPORT_SOURCES := $(wildcard tests/support/*.c)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
C_FILES := $(wildcard include/snn/*.h core/*/*.[ch] server/*.[ch] clients/*/*.[ch] tests/*/*.[ch])

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libsnn.a
SERVER_LIB := $(BUILD)/libserver.a # all of the daemon but main(), so that tests can link it
PROGRAMS := $(BUILD)/snn $(BUILD)/spiked
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SOURCES))

.DEFAULT_GOAL := all
.PHONY: all help deps demo serve test test-release test-run unit bench lint format fuzz clean layering
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) ## build the programs into build/$(MODE)

help: ## this list
	@echo "make [MODE=release|asan|tsan|cov] [target]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(call objects,$(LIB_SOURCES))
$(SERVER_LIB): $(call objects,$(filter-out server/main.c,$(SERVER_SOURCES)))
$(LIB) $(SERVER_LIB):
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/snn: $(call objects,$(TOOL_SOURCES)) $(LIB)
	$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -o $@

$(BUILD)/spiked: $(call objects,server/main.c) $(SERVER_LIB) $(LIB)
	$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -o $@

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(call objects,$(SUPPORT_SOURCES)) $(SERVER_LIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) $^ $(LDLIBS) -lcmocka -o $@
$(call objects,$(UNIT_SOURCES) $(SUPPORT_SOURCES)): CPPFLAGS_ALL += -I. -Itests

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

clean: ## remove everything built
	rm -rf build
