#include "tests/simt/include/simt_instructions.h"

#include "tests/simt/runtime/checker.h"
#include "tests/simt/runtime/executor.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <utility>

namespace simt {

namespace {

constexpr Site copy_site{"cp.async", 0};
constexpr Site product_site{"mma.sync", 0};
constexpr Site matrix_site{"ldmatrix", 0};

bool in_shared_memory(const void* pointer, std::size_t bytes) {
    const auto* address = static_cast<const std::byte*>(pointer);
    const std::byte* start = executor.current().block->shared;
    return address >= start && address + bytes <= start + executor.geometry().shared_bytes;
}

// Tells the checked build of an access that this file makes for the kernel.
void note(Checker::Access kind, const void* pointer, std::size_t bytes, const void* pc) {
    if (checker) {
        checker->access(kind, pointer, bytes, pc);
    }
}

void land(const Thread::Copy& copy, const void* pc) {
    const auto valid = static_cast<std::size_t>(copy.valid_bytes);
    const auto bytes = static_cast<std::size_t>(copy.bytes);
    note(Checker::Access::write, copy.to, bytes, pc);
    std::memcpy(copy.to, copy.from, valid);
    std::memset(static_cast<std::byte*>(copy.to) + valid, 0, bytes - valid);
}

float tf32_value(std::uint32_t word) {
    return std::bit_cast<float>(word & 0xffffe000u);
}

float bf16_value(std::uint32_t word, int which) {
    return std::bit_cast<float>(which == 0 ? word << 16 : word & 0xffff0000u);
}

struct Product {
    float* d;
    const std::uint32_t* a;
    const std::uint32_t* b;
};

// Fills A (16 x k) and B (k x 8) by `spread`, which knows the fragment layout of one lane, and adds
// their product to the fragments of D, whose layout all shapes share.
template <int k, class Spread>
void multiply(void* const* lanes, Spread spread) {
    float a[16][k], b[k][8];
    for (unsigned lane = 0; lane < 32; ++lane) {
        spread(*static_cast<const Product*>(lanes[lane]), lane / 4, lane % 4, a, b);
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
        float* d = static_cast<Product*>(lanes[lane])->d;
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = lane / 4 + 8 * (i / 2);
            const unsigned column = 2 * (lane % 4) + i % 2;
            double sum = d[i];
            for (int inner = 0; inner < k; ++inner) {
                sum += double{a[row][inner]} * double{b[inner][column]};
            }
            d[i] = static_cast<float>(sum);
        }
    }
}

struct MatrixRows {
    std::uint32_t* fragment;
    const std::byte* row;
    unsigned matrices;
    bool transposed;
};

void load_matrices(std::uint32_t* fragment, const void* row, unsigned matrices, bool transposed,
                   const void* pc) {
    // Only the lanes that bring a row need a valid address.
    if (executor.current().lane() < 8 * matrices) {
        check_aligned(row, 16, matrix_site);
        if (!in_shared_memory(row, 16)) {
            executor.fail(Finding::out_of_bounds, matrix_site,
                          "a row is not in this block's shared memory");
        }
        note(Checker::Access::read, row, 16, pc);
    }
    MatrixRows mine{fragment, static_cast<const std::byte*>(row), matrices, transposed};
    warp_rendezvous(
        full_mask, &mine,
        [](void* const* lanes, std::uint32_t) {
            for (unsigned lane = 0; lane < 32; ++lane) {
                auto& reader = *static_cast<MatrixRows*>(lanes[lane]);
                for (unsigned matrix = 0; matrix < reader.matrices; ++matrix) {
                    std::uint16_t pair[2];
                    for (unsigned i = 0; i < 2; ++i) {
                        unsigned element_row = lane / 4, column = 2 * (lane % 4) + i;
                        if (reader.transposed) {
                            std::swap(element_row, column);
                        }
                        const auto* source =
                            static_cast<MatrixRows*>(lanes[8 * matrix + element_row]);
                        std::memcpy(&pair[i], source->row + 2 * column, 2);
                    }
                    reader.fragment[matrix] = pair[0] | (std::uint32_t{pair[1]} << 16);
                }
            }
        },
        "ldmatrix", matrix_site);
}

} // namespace

void cp_async(void* shared, const void* global, int bytes, int valid_bytes) {
    if (bytes != 4 && bytes != 8 && bytes != 16) {
        executor.fail(Finding::limit, copy_site,
                      fmt::format("a copy of {} bytes; 4, 8 and 16 are possible", bytes));
    }
    if (valid_bytes < 0 || valid_bytes > bytes) {
        executor.fail(Finding::limit, copy_site,
                      fmt::format("{} valid bytes of {}; keep them between 0 and the size",
                                  valid_bytes, bytes));
    }
    const auto size = static_cast<std::size_t>(bytes);
    check_aligned(shared, size, copy_site);
    check_aligned(global, size, copy_site);
    if (!in_shared_memory(shared, size)) {
        executor.fail(Finding::out_of_bounds, copy_site,
                      "the target is not in this block's shared memory");
    }
    const void* pc = __builtin_return_address(0);
    note(Checker::Access::read, global, static_cast<std::size_t>(valid_bytes), pc);
    note(Checker::Access::copy, shared, size, pc);
    Thread& self = executor.current();
    self.copies.push_back({shared, global, bytes, valid_bytes});
    ++self.uncommitted;
}

void cp_async_commit() {
    Thread& self = executor.current();
    self.groups.push_back(self.uncommitted);
    self.uncommitted = 0;
}

void cp_async_wait(int pending_groups) {
    Thread& self = executor.current();
    while (self.groups.size() > static_cast<std::size_t>(pending_groups)) {
        const auto oldest = static_cast<std::ptrdiff_t>(self.groups.front());
        for (std::ptrdiff_t i = 0; i < oldest; ++i) {
            land(self.copies[static_cast<std::size_t>(i)], __builtin_return_address(0));
        }
        self.copies.erase(self.copies.begin(), self.copies.begin() + oldest);
        self.groups.erase(self.groups.begin());
    }
}

void begin_kernel() {
    executor.current().begun = true;
}

std::uint32_t tf32_from_float(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    return value != value ? 0x7fffffffu : (word + 0x1000u) & 0xffffe000u;
}

void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    Product mine{d, a, b};
    warp_rendezvous(
        full_mask, &mine,
        [](void* const* lanes, std::uint32_t) {
            multiply<8>(lanes, [](const Product& p, unsigned g, unsigned t, float(&a)[16][8],
                                  float(&b)[8][8]) {
                a[g][t] = tf32_value(p.a[0]);
                a[g + 8][t] = tf32_value(p.a[1]);
                a[g][t + 4] = tf32_value(p.a[2]);
                a[g + 8][t + 4] = tf32_value(p.a[3]);
                b[t][g] = tf32_value(p.b[0]);
                b[t + 4][g] = tf32_value(p.b[1]);
            });
        },
        "mma.m16n8k8.tf32", product_site);
}

void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    Product mine{d, a, b};
    warp_rendezvous(
        full_mask, &mine,
        [](void* const* lanes, std::uint32_t) {
            multiply<16>(lanes, [](const Product& p, unsigned g, unsigned t, float(&a)[16][16],
                                   float(&b)[16][8]) {
                for (int i = 0; i < 2; ++i) {
                    a[g][2 * t + i] = bf16_value(p.a[0], i);
                    a[g + 8][2 * t + i] = bf16_value(p.a[1], i);
                    a[g][2 * t + 8 + i] = bf16_value(p.a[2], i);
                    a[g + 8][2 * t + 8 + i] = bf16_value(p.a[3], i);
                    b[2 * t + i][g] = bf16_value(p.b[0], i);
                    b[2 * t + 8 + i][g] = bf16_value(p.b[1], i);
                }
            });
        },
        "mma.m16n8k16.bf16", product_site);
}

void ldmatrix_x1(std::uint32_t (&fragment)[1], const void* row, bool transposed) {
    load_matrices(fragment, row, 1, transposed, __builtin_return_address(0));
}

void ldmatrix_x2(std::uint32_t (&fragment)[2], const void* row, bool transposed) {
    load_matrices(fragment, row, 2, transposed, __builtin_return_address(0));
}

void ldmatrix_x4(std::uint32_t (&fragment)[4], const void* row, bool transposed) {
    load_matrices(fragment, row, 4, transposed, __builtin_return_address(0));
}

} // namespace simt
