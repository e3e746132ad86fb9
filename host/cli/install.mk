# Program, man pages and bash completion in their places; read by the Makefile.

# `make install PREFIX=~/.local`; DESTDIR=<folder> stands before it, for packages.
PREFIX ?= /usr/local
INSTALLED ?= $B/patchforge
install: $(INSTALLED) ## put program, man pages, bash completion and licence below PREFIX=/usr/local
	@rm -rf $B/manuals && ./$< help --manuals $B/manuals && ./$< help --bash-completion > $B/patchforge.bash
	@to="$(DESTDIR)$(PREFIX)"; \
	    install -D -m 755 $< "$$to/bin/patchforge" && \
	    install -d "$$to/share/man/man1" && install -m 644 $B/manuals/*.1 "$$to/share/man/man1" && \
	    install -D -m 644 $B/patchforge.bash "$$to/share/bash-completion/completions/patchforge" && \
	    install -D -m 644 -t "$$to/share/doc/patchforge" LICENSE README.md CHANGELOG.md && \
	    echo "installed $$to/bin/patchforge; \`make uninstall\` with the same PREFIX takes it away"

uninstall: ## take away what `make install` put below PREFIX
	@to="$(DESTDIR)$(PREFIX)"; \
	    rm -f "$$to/bin/patchforge" "$$to"/share/man/man1/patchforge.1 "$$to"/share/man/man1/patchforge-*.1 \
	        "$$to/share/bash-completion/completions/patchforge" && rm -rf "$$to/share/doc/patchforge"
.PHONY: install uninstall
