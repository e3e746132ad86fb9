#include "tests/ptx/one_instruction.h"

#include "tests/ptx/decode.h"
#include "tests/ptx/engine.h"

#include <fmt/format.h>

#include <sstream>

namespace ptx {

namespace {

constexpr unsigned slots_bytes = sizeof(Slots);
constexpr unsigned slot_bytes = 16;

struct Written {
    std::string declarations, before, after, operands;
};

unsigned bytes_of_letter(char letter) {
    return letter == 'h' ? 2 : letter == 'l' ? 8 : 4;
}

std::string declared_type(char letter) {
    return letter == 'p' ? "pred" : fmt::format("b{}", 8 * bytes_of_letter(letter));
}

// Loads one register of letter r from the thread's input, or stores it to the output.
std::string load(const std::string& name, char r, unsigned offset) {
    if (r == 'p') {
        return fmt::format("ld.global.u32 %word, [%in+{}];\nsetp.ne.u32 {}, %word, 0;\n", offset,
                           name);
    }
    return fmt::format("ld.global.b{} {}, [%in+{}];\n", 8 * bytes_of_letter(r), name, offset);
}
std::string store(const std::string& name, char r, unsigned offset) {
    if (r == 'p') {
        return fmt::format("selp.u32 %word, 1, 0, {};\nst.global.u32 [%out+{}], %word;\n", name,
                           offset);
    }
    return fmt::format("st.global.b{} [%out+{}], {};\n", 8 * bytes_of_letter(r), offset, name);
}

class Writer {
  public:
    Writer(const Form& form, unsigned target) : form_(form), target_(target) {}

    OneInstruction write() {
        made_.changes_memory = form_.name.starts_with("st") || form_.name.starts_with("atom") ||
                               form_.name.starts_with("cp.async");
        std::istringstream shapes(form_.operands);
        for (std::string shape; shapes >> shape;) {
            text_.operands += text_.operands.empty() ? "" : ", ";
            add(shape);
        }
        const std::string data = made_.has_data ? ",\n.param .align 16 .b8 data[16]" : "";
        made_.text = fmt::format(
            ".version 7.8\n.target sm_{}\n.address_size 64\n"
            ".extern .shared .align 128 .b8 shared_memory[];\n"
            ".visible .entry one_instruction(\n.param .u64 inputs,\n.param .u64 outputs{}\n)\n{{\n"
            ".reg .b64 %in, %out, %thread;\n.reg .b32 %t, %b, %n, %word, %shared;\n"
            ".reg .b32 %m<4>;\n{}"
            "ld.param.u64 %in, [inputs];\nld.param.u64 %out, [outputs];\n"
            "mov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmov.u32 %n, %ntid.x;\n"
            "mov.u32 %shared, shared_memory;\nmad.lo.s32 %shared, %t, {}, %shared;\n"
            "mad.lo.s32 %t, %b, %n, %t;\nmul.wide.u32 %thread, %t, {};\n"
            "add.s64 %in, %in, %thread;\nadd.s64 %out, %out, %thread;\n"
            "{}{} {};\n{}ret;\n}}\n",
            target_, data, text_.declarations, slot_bytes, slots_bytes, text_.before, form_.name,
            text_.operands, text_.after);
        return std::move(made_);
    }

  private:
    void declare(const std::string& name, char letter) {
        text_.declarations += fmt::format(".reg .{} {};\n", declared_type(letter), name);
    }

    void add(std::string shape) {
        const bool written = shape.front() == '=';
        shape.erase(0, written ? 1 : 0);
        if (written) {
            add_written(shape);
        } else if (shape.front() == '#') {
            text_.operands += shape.size() > 1 ? shape.substr(1) : "0";
        } else if (shape == "s" || shape == "g" || shape == "c") {
            add_memory(shape.front());
        } else {
            const auto operand = static_cast<unsigned>(made_.sources.size());
            const unsigned count = shape.size() > 1 ? static_cast<unsigned>(shape[1] - '0') : 1;
            std::string list;
            for (unsigned n = 0; n < count; ++n) {
                const std::string name = fmt::format("%s{}_{}", operand, n);
                declare(name, shape[0]);
                text_.before +=
                    load(name, shape[0], slot_bytes * operand + n * bytes_of_letter(shape[0]));
                list += (n ? ", " : "") + name;
            }
            text_.operands += count > 1 ? "{" + list + "}" : list;
            made_.sources.push_back(shape);
        }
    }

    void add_written(const std::string& shape) {
        const bool tells = shape.find('|') != std::string::npos;
        const unsigned count = shape.size() == 2 ? static_cast<unsigned>(shape[1] - '0') : 1;
        std::string list;
        for (unsigned n = 0; n < count; ++n) {
            const std::string name = fmt::format("%d{}", n);
            declare(name, shape[0]);
            text_.after +=
                store(name, shape[0], slot_bytes * result_slot + n * bytes_of_letter(shape[0]));
            list += (n ? ", " : "") + name;
        }
        if (tells) {
            declare("%told", 'p');
            text_.after += store("%told", 'p', slot_bytes * predicate_slot);
            list += "|%told";
        }
        text_.operands += count > 1 ? "{" + list + "}" : list;
    }

    // Memory that is changed lies in the output; cp.async changes shared memory and only reads the
    // other.
    void add_memory(char space) {
        const auto operand = static_cast<unsigned>(made_.sources.size());
        const bool copies = form_.name.starts_with("cp.async");
        if (space == 's') {
            text_.operands += "[%shared]";
            if (made_.changes_memory) {
                text_.after += copies ? "cp.async.commit_group;\ncp.async.wait_group 0;\n" : "";
                text_.after +=
                    move_slot("ld.shared", "%shared", 0, "st.global", "%out", memory_slot);
                text_.before +=
                    move_slot("ld.global", "%out", memory_slot, "st.shared", "%shared", 0);
            } else {
                text_.before += move_slot("ld.global", "%in", operand, "st.shared", "%shared", 0);
            }
            if (copies) {
                return;
            }
        } else if (space == 'g') {
            const bool changed = made_.changes_memory && !copies;
            text_.operands += changed ? fmt::format("[%out+{}]", slot_bytes * memory_slot)
                                      : fmt::format("[%in+{}]", slot_bytes * operand);
        } else {
            text_.operands += "[data]";
            made_.has_data = true;
        }
        made_.memory = static_cast<int>(operand);
        made_.sources.push_back(std::string(1, space));
    }

    static std::string move_slot(const char* load, const char* from, unsigned from_slot,
                                 const char* store, const char* to, unsigned to_slot) {
        const char* registers = "{%m0, %m1, %m2, %m3}";
        return fmt::format("{}.v4.u32 {}, [{}+{}];\n{}.v4.u32 [{}+{}], {};\n", load, registers,
                           from, slot_bytes * from_slot, store, to, slot_bytes * to_slot,
                           registers);
    }

    const Form& form_;
    unsigned target_;
    OneInstruction made_;
    Written text_;
};

} // namespace

OneInstruction one_instruction(const Form& form, unsigned target) {
    return Writer(form, target).write();
}

std::vector<Slots> interpret(const OneInstruction& kernel, const std::vector<Slots>& in,
                             std::vector<Slots> out, Slot16 data) {
    const auto module = parse_text("one_instruction.ptx", kernel.text);
    const Kernel decoded = decode(*module, module->entries.front());
    const std::size_t bytes = in.size() * sizeof(Slots);
    void* inputs = nullptr;
    void* outputs = nullptr;
    cudaMalloc(&inputs, bytes);
    cudaMalloc(&outputs, bytes);
    std::memcpy(inputs, in.data(), bytes);
    std::memcpy(outputs, out.data(), bytes);
    std::vector<simt::KernelArgument> arguments = {{&inputs, 8, 8}, {&outputs, 8, 8}};
    if (kernel.has_data) {
        arguments.push_back({&data, 16, 16});
    }
    simt::LaunchGeometry geometry;
    geometry.grid = {static_cast<unsigned>(in.size() / lanes), 1, 1};
    geometry.block = lanes;
    geometry.shared_bytes = lanes * slot_bytes;
    geometry.name = "one_instruction";
    try {
        launch(decoded, geometry, arguments);
    } catch (...) {
        cudaFree(inputs);
        cudaFree(outputs);
        throw;
    }
    std::memcpy(out.data(), outputs, bytes);
    cudaFree(inputs);
    cudaFree(outputs);
    return out;
}

} // namespace ptx
