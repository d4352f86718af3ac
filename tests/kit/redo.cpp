// A program of somebody's for `cinnabar crash run`, of which recovery writes: two counts that are
// the same, and a record from which they are made so again.
//
//   redo write FILE HOW     counts up, and prints the number once both counts are durable
//   redo check HOW IMAGE    recovers the image, and judges it by what was printed
//
// HOW of write: right. Of check: right, mark_first (the record is called done before it is),
// from_zero (so too, and the first count begins anew; of it only what was promised is judged),
// leaves (by _exit), stores (in any case), plainly (and makes nothing durable).
#include <libpmem.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr size_t kFileBytes = 8192;
constexpr uint64_t kSteps = 3;

struct alignas(64) Word {
    uint64_t value;
};

struct Counts {
    Word recorded;
    Word mark;  // what is recorded is to be redone
    Word one;
    Word other;
};

Counts* map(const char* path) {
    void* at = pmem_map_file(path, kFileBytes, PMEM_FILE_CREATE, 0600, nullptr, nullptr);
    if (at == nullptr) {
        std::fprintf(stderr, "no counts: %s\n", pmem_errormsg());
        std::exit(2);
    }
    return static_cast<Counts*>(at);
}

void store(Word& word, uint64_t value) {
    word.value = value;
    pmem_persist(&word, sizeof word);
}

void redo(Counts& counts) {
    store(counts.one, counts.recorded.value);
    store(counts.other, counts.recorded.value);
}

int write(Counts& counts) {
    for (uint64_t step = 1; step <= kSteps; ++step) {
        store(counts.recorded, step);
        store(counts.mark, 1);
        redo(counts);
        store(counts.mark, 0);
        std::printf("%d\n", static_cast<int>(step));
    }
    return 0;
}

void recover(Counts& counts, const std::string& how) {
    if (how == "stores") store(counts.mark, counts.mark.value);
    if (counts.mark.value == 0) return;
    if (how == "plainly") {
        counts.one.value = counts.other.value = counts.recorded.value;
        return;
    }
    const bool mark_first = how == "mark_first" || how == "from_zero";
    if (mark_first) store(counts.mark, 0);
    if (how == "from_zero") store(counts.one, 0);
    redo(counts);
    if (!mark_first) store(counts.mark, 0);
}

int judge(const Counts& counts, const std::string& how) {
    uint64_t acknowledged = 0;
    for (int number = 0; std::scanf("%d", &number) == 1;)
        acknowledged = static_cast<uint64_t>(number);
    const bool is_same = counts.one.value == counts.other.value || how == "from_zero";
    if (is_same && counts.one.value >= acknowledged) return 0;
    std::printf("counted %d and %d, and %d are acknowledged\n", static_cast<int>(counts.one.value),
                static_cast<int>(counts.other.value), static_cast<int>(acknowledged));
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 64;
    if (std::string(argv[1]) == "write") return write(*map(argv[2]));
    const std::string how = argv[2];
    Counts& counts = *map(argv[3]);
    recover(counts, how);
    const int code = judge(counts, how);
    if (how == "leaves") ::_exit(code);
    return code;
}
