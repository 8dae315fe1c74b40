# What a developer and a packager call. `make help` lists it.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/pip --disable-pip-version-check --quiet

DESTDIR    ?=
prefix     ?= /usr
sysconfdir ?= /etc
sbindir     = $(prefix)/sbin
libdir      = $(prefix)/lib/pymaild
mandir      = $(prefix)/share/man
docdir      = $(prefix)/share/doc/pymaild
unitdir     = $(prefix)/lib/systemd/system

CYTHON  := $(shell find pymaild bench -name '*.pyx' -o -name '*.pxd')
JOBS    := $(shell nproc 2>/dev/null || echo 1)
BUILD    = $(BIN)/python setup.py --quiet build_ext --inplace -j $(JOBS)

# The extensions of a special build lie where those of a release do, and look newer: the next
# ordinary build makes all of them again.
SPECIAL := $(VENV)/.special
define special
@rm -f $(VENV)/.built
@touch $(SPECIAL)
PYMAILD_BUILD=$(1) $(BUILD) --force
endef

.PHONY: help build dev run test check bench soak report docs debug asan clean install

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

$(VENV)/.runtime: pyproject.toml tools/system-packages
	@tools/system-packages "$(PYTHON)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what pymaild needs into $(VENV)"
	@$(PIP) install 'setuptools>=77' 'cython>=3.0'
	@$(BIN)/python tools/requirements.py | $(PIP) install -r /dev/stdin
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing what the tests need into $(VENV)"
	@$(BIN)/python tools/requirements.py dev | $(PIP) install -r /dev/stdin
	@touch $@

$(VENV)/.built: $(VENV)/.runtime setup.py $(CYTHON)
	@echo "Compiling the extensions"
	@$(BUILD) $(if $(wildcard $(SPECIAL)),--force)
	@rm -f $(SPECIAL)
	@touch $@

build: $(VENV)/.built

dev: $(VENV)/.built $(VENV)/.dev

run: build ## Serve a private instance below ./var in the foreground
	@test -e var/pymaild.toml || $(BIN)/python -m pymaild.admin.daemon init var
	@echo
	@echo "Serving on 127.0.0.1: IMAP 1143, IMAPS 1993, POP3 1110, POP3S 1995, LMTP 1024"
	@echo "User demo, password demo. The log is var/log, Ctrl-C stops the server. For example:"
	@echo "  curl -k -u demo:demo 'imaps://127.0.0.1:1993/INBOX;MAILINDEX=1'"
	@echo "  mutt -f imaps://demo:demo@127.0.0.1:1993/INBOX"
	@echo
	@exec $(BIN)/python -m pymaild.admin.daemon serve --foreground -c var/pymaild.toml

test: dev ## Run all tests
	$(BIN)/python -m pytest

check: dev ## Lint, types, layering, generated documents
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layering.py
	$(BIN)/python -m pymaild.admin.generate --check
	$(BIN)/python -m tools.rfc check
	$(BIN)/python -m tools.rfc docs --check

bench: dev ## Measure beside a Debian Dovecot: a page in bench/results; a quarter of an hour
	$(BIN)/python -m pytest -q bench
	$(BIN)/python -m bench.ratio --report $(BENCH)

soak: dev ## Kill processes, reload and upgrade under 200 clients; takes six minutes
	$(BIN)/python -m tests.soak

report: dev ## The same faults for pymaild and Dovecot: a page in bench/results; four minutes
	$(BIN)/python -m bench.report

docs: build ## Generate the sample configuration, the manual pages, the table of RFCs
	$(BIN)/python -m pymaild.admin.generate
	$(BIN)/python -m tools.rfc docs

debug: $(VENV)/.dev ## Build annotated, linetraced extensions (build/cython-debug)
	$(call special,debug)

asan: $(VENV)/.dev ## Run the tests of the extensions under AddressSanitizer
	$(call special,asan)
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  PYTHONMALLOC=malloc $(BIN)/python -m pytest $(ASAN_TESTS)

ASAN_TESTS = $(wildcard tests/mime tests/index tests/storage tests/imap tests/mail)

clean: ## Remove what was built; ./var stays
	rm -rf build dist $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find pymaild tests bench -name __pycache__ -prune -exec rm -rf {} +
	find pymaild bench/*.* \( -name '*.so' -o -name '*.c' -o -name '*.html' \) -delete

install: build ## Install below DESTDIR and prefix
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(libdir) $(DESTDIR)$(docdir) $(DESTDIR)$(unitdir)
	install -d $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8 $(DESTDIR)$(sysconfdir)/pymaild
	install -d $(DESTDIR)$(sysconfdir)/init.d $(DESTDIR)$(sysconfdir)/logrotate.d
	install -d $(DESTDIR)$(sysconfdir)/fail2ban/filter.d $(DESTDIR)$(sysconfdir)/fail2ban/jail.d
	$(PIP) install --no-build-isolation --upgrade --target $(DESTDIR)$(libdir) .
	rm -rf $(DESTDIR)$(libdir)/bin
	for name in daemon:pymaild control:pymailctl; do \
	  $(BIN)/python tools/launcher.py $(libdir) $(sysconfdir)/pymaild/pymaild.toml $${name%:*} \
	    > $(DESTDIR)$(sbindir)/$${name#*:}; \
	  chmod 755 $(DESTDIR)$(sbindir)/$${name#*:}; \
	done
	sed 's|/usr/sbin|$(sbindir)|g; s|/etc/pymaild|$(sysconfdir)/pymaild|g' etc/init.d/pymaild \
	  > $(DESTDIR)$(sysconfdir)/init.d/pymaild
	chmod 755 $(DESTDIR)$(sysconfdir)/init.d/pymaild
	sed 's|/usr/sbin|$(sbindir)|g; s|/etc/pymaild|$(sysconfdir)/pymaild|g' \
	  etc/systemd/pymaild.service > $(DESTDIR)$(unitdir)/pymaild.service
	test -e $(DESTDIR)$(sysconfdir)/pymaild/pymaild.toml || { umask 022; \
	  sed 's|^#\(passwd_file = "\)/etc/|\1$(sysconfdir)/|' etc/pymaild.toml \
	    > $(DESTDIR)$(sysconfdir)/pymaild/pymaild.toml; }
	test -e $(DESTDIR)$(sysconfdir)/pymaild/users || \
	  install -m 600 /dev/null $(DESTDIR)$(sysconfdir)/pymaild/users
	install -m 644 etc/logrotate.d/pymaild $(DESTDIR)$(sysconfdir)/logrotate.d/pymaild
	install -m 644 etc/fail2ban/filter.d/pymaild.conf $(DESTDIR)$(sysconfdir)/fail2ban/filter.d/
	install -m 644 etc/fail2ban/jail.d/pymaild.conf $(DESTDIR)$(sysconfdir)/fail2ban/jail.d/
	install -m 644 docs/man/*.5 $(DESTDIR)$(mandir)/man5
	install -m 644 docs/man/*.8 $(DESTDIR)$(mandir)/man8
	install -m 644 README.md CHANGELOG.md LICENSE etc/postfix/main.cf.sample $(DESTDIR)$(docdir)
	@test -n "$(DESTDIR)" || tools/after-install "$(sysconfdir)"
