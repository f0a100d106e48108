# make demo    install, then the whole way on a simulated cohort; the report is demo/report.html
# make test    install, then the tests (10 minutes at most on 2 cores)
# make check   format, lint, types, layers
# make slow    the tests that take a minute or more
# make docs    the site, in build/docs; its tutorials are executed where they have changed
# make browser a browser for the tests of the reader study, if none is there
# make sensitivity SLICES=folder   the table docs/sensitivity.md, from a set of real slices; hours
# make measures docs/MEASURES.md, from what each measure says of itself
# make coverage docs/READER_STATISTICS.md, from simulated reader studies; hours
# make bench   speed, as ratios to a named alternative; GAN_ZOO=path of pytorch_GAN_zoo, if at hand

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check slow docs bench browser sensitivity measures coverage clean

demo: $(VENV)/installed
	$(BIN)/mrgantry demo demo

# A process a core: every test computes with one thread.
test: $(VENV)/installed
	$(BIN)/pytest -n logical --dist loadfile

# Few and long, so that each goes to whoever is free.
slow: $(VENV)/installed
	$(BIN)/pytest -m slow -n logical --dist worksteal --timeout 1200

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A warning is an error: a link that leads nowhere, a heading that is skipped, a cell that fails.
docs: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

# Playwright's own, or, where it cannot be had, Debian's.
browser: $(VENV)/installed
	command -v chromium || $(BIN)/playwright install --with-deps chromium || (apt-get update && apt-get install -y chromium)

bench: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/growing.py $(GAN_ZOO)
	$(BIN)/python benchmarks/scans.py
	$(BIN)/python benchmarks/simulate.py
	$(BIN)/python benchmarks/measures.py frechet
	$(BIN)/python benchmarks/measures.py all
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/study.py --pace 1
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/augmentation.py

measures: $(VENV)/installed
	$(BIN)/python -c "from mrgantry.evaluation.explained import document; print(document())" > docs/MEASURES.new
	mv docs/MEASURES.new docs/MEASURES.md

# Counts are kept in the folder coverage: the same command goes on where it stopped.
coverage: $(VENV)/installed
	$(BIN)/python benchmarks/coverage.py coverage --studies 2000 > docs/READER_STATISTICS.new
	mv docs/READER_STATISTICS.new docs/READER_STATISTICS.md

sensitivity: $(VENV)/installed
	$(BIN)/mrgantry sensitivity $(SLICES) sensitivity --repeats 2 --networks 0
	cp sensitivity/sensitivity.md sensitivity/sensitivity.svg docs/

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo sensitivity coverage
