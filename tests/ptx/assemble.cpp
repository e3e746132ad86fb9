#include "tests/ptx/assemble.h"

#include "tests/ptx/control.h"
#include "tests/ptx/registers.h"

#include <fmt/format.h>

namespace ptx {

namespace {

class Assembler {
  public:
    Assembler(Kernel& kernel, const Items& items) : kernel_(kernel), items_(items) {}

    void assemble() {
        cut_into_blocks();
        emit();
    }

  private:
    [[noreturn]] void fail(const Item& item, const char* what) const {
        const Statement& statement = kernel_.entry->statements[item.statement];
        throw TextError(fmt::format("{}:{}: {}: {}", kernel_.module->path, statement.line,
                                    statement.text, what));
    }

    static bool ends_block(const Item& item) {
        return !item.form || item.form->flow != Form::Flow::next;
    }

    void cut_into_blocks() {
        std::vector<char> leads(items_.all.size() + 1, 0);
        leads[0] = 1;
        for (std::size_t n = 0; n < items_.all.size(); ++n) {
            if (items_.all[n].target >= 0) {
                leads[static_cast<std::size_t>(target_item(items_.all[n]))] = 1;
            }
            if (ends_block(items_.all[n])) {
                leads[n + 1] = 1;
            }
        }
        block_of_.resize(items_.all.size() + 1);
        for (std::size_t n = 0; n < items_.all.size(); ++n) {
            if (leads[n]) {
                blocks_.push_back({static_cast<int>(n), static_cast<int>(n), {}});
            }
            blocks_.back().past = static_cast<int>(n) + 1;
            block_of_[n] = static_cast<int>(blocks_.size()) - 1;
        }
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            const Item& last = items_.all[static_cast<std::size_t>(blocks_[b].past) - 1];
            const bool goes_on = !last.form || last.form->flow == Form::Flow::next;
            if (goes_on) {
                if (b + 1 == blocks_.size()) {
                    fail(last, "the kernel goes on past its last statement");
                }
                blocks_[b].next.push_back(static_cast<int>(b) + 1);
            }
            if (last.target >= 0) {
                if (target_item(last) == static_cast<int>(items_.all.size())) {
                    fail(last, "the label stands behind the last statement");
                }
                blocks_[b].next.push_back(block_of_[static_cast<std::size_t>(target_item(last))]);
            }
        }
    }

    int target_item(const Item& item) const {
        return items_.first_of[static_cast<std::size_t>(item.target)];
    }

    std::vector<Access> accesses() const {
        std::vector<Access> all(items_.all.size());
        for (std::size_t n = 0; n < items_.all.size(); ++n) {
            const Item& item = items_.all[n];
            const auto note = [](std::vector<int>& where, const Reference& reference) {
                if (!reference.constant) {
                    where.push_back(static_cast<int>(reference.value));
                }
            };
            note(all[n].writes, item.d);
            note(all[n].reads, item.a);
            note(all[n].reads, item.b);
            note(all[n].reads, item.c);
            const std::size_t written = item.form ? written_of_list(item.form->operands) : 0;
            for (std::size_t i = 0; i < item.list.size(); ++i) {
                note(i < written ? all[n].writes : all[n].reads, item.list[i]);
            }
        }
        return all;
    }

    // How many of the further operands are written: those of a vector, or the predicate of "=w|p".
    static std::size_t written_of_list(std::string_view shape) {
        if (!shape.starts_with('=') || shape.size() < 3) {
            return 0;
        }
        return shape[2] == '|' ? 1 : shape[2] == ' ' ? 0 : static_cast<std::size_t>(shape[2] - '0');
    }

    void emit() {
        const Places places = assign_places(blocks_, accesses(), items_.widths);
        kernel_.register_bytes = (places.bytes + 63) / 64 * 64;
        const auto place = [&](const Reference& reference) {
            return reference.constant ? reference.value : places.of[reference.value];
        };
        for (const auto& [which, reference] : items_.specials) {
            kernel_.specials.emplace_back(which, place(reference));
        }
        const std::vector<int> meets = post_dominators(blocks_);
        std::vector<char> is_join(blocks_.size(), 0);
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            if (blocks_[b].next.size() == 2 && meets[b] >= 0) {
                is_join[static_cast<std::size_t>(meets[b])] = 1;
            }
        }
        std::vector<std::uint32_t> start(blocks_.size());
        std::uint32_t pc = 0;
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            start[b] = pc;
            pc += static_cast<std::uint32_t>(is_join[b] + blocks_[b].past - blocks_[b].first);
        }
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            if (is_join[b]) {
                const auto statement =
                    items_.all[static_cast<std::size_t>(blocks_[b].first)].statement;
                kernel_.code.push_back({.run = join, .statement = statement});
            }
            for (int n = blocks_[b].first; n < blocks_[b].past; ++n) {
                const Item& item = items_.all[static_cast<std::size_t>(n)];
                Instruction i = {.run = item.form ? item.form->run : branch,
                                 .d = place(item.d),
                                 .a = place(item.a),
                                 .b = place(item.b),
                                 .c = place(item.c),
                                 .number = item.number,
                                 .list = static_cast<std::uint32_t>(kernel_.lists.size()),
                                 .statement = item.statement};
                for (const Reference& reference : item.list) {
                    kernel_.lists.push_back(place(reference));
                }
                if (item.target >= 0) {
                    i.number = start[static_cast<std::size_t>(
                        block_of_[static_cast<std::size_t>(target_item(item))])];
                }
                if (!item.form) {
                    i.b = item.negated;
                    i.c = meets[b] < 0 ? never : start[static_cast<std::size_t>(meets[b])];
                }
                kernel_.code.push_back(i);
            }
        }
    }

    Kernel& kernel_;
    const Items& items_;
    std::vector<BasicBlock> blocks_;
    std::vector<int> block_of_; // each item
};

} // namespace

void assemble(Kernel& kernel, const Items& items) {
    Assembler(kernel, items).assemble();
}

} // namespace ptx
