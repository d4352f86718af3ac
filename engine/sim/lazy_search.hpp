// Searches the images of one crash by what recovery reads of them. A line that the crash left open
// is decided word by word when recovery first reads it, and only where the values there differ; the
// search then tries the others, depth first. Lines that recovery never reads are never decided, so
// that one run stands for all their states: a log whose records hang on one commit word needs a run
// per record where the rules allow 10^9 images. (The idea is Jaaru's, ASPLOS 2021.)
//
// A checksum is one decision, not one per word: everything new, everything old, everything as it
// stood after any one store, and each line's representatives (pending_line.hpp) among new lines and
// among old ones. That takes it that recovery treats all bytes alike that do not verify. Words of
// its lines that it does not cover are decided by themselves. Where another sum of the same run
// begins or ends inside of what one decided, the search starts over, and from then on decides what
// lies on the two sides of that place apart.
//
// A recovery that looks at every line has a product of all their states to see, which no order of
// looking makes small. The search is therefore bounded by how many lines are torn at once; the
// others are old or new, in every combination but that of a checksum's range.
//
// What recovery is about to read it tells by itself where it is compiled in the hook build
// (hooks.hpp): the search watches the image. Stores through a CrashMedium are told by its
// on_store(). Recovery must be deterministic: the same bytes read, the same reads next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "sim/hooks.hpp"
#include "sim/image.hpp"
#include "sim/pending_line.hpp"

namespace cinnabar::sim {

class LazySearch : public Watcher {
  public:
    struct Options {
        uint64_t runs_max = 1 << 16;
        // So many lines of an image are torn; the others hold all of their stores or none.
        uint32_t torn_lines_max = 2;
        // One run in so many is repeated with other bytes where nothing was read; 0: none.
        uint64_t recheck_every = 16;
    };

    struct Result {
        uint64_t runs = 0;
        uint64_t rechecked = 0;
        uint64_t sums_collapsed = 0;  // checksums, or pieces of them, that were one decision
        uint64_t sums_cut = 0;        // places where one began or ended inside of another
        // States were left out: by torn_lines_max, or of a line with more than kStatesMax.
        bool bounded = false;
        bool exhausted = false;  // every path was gone, within the bound and the checksums
        bool stopped = false;    // by the visitor
        // Another run over the same bytes read came out otherwise: recovery is not deterministic,
        // or reads what it does not tell.
        bool inconsistent = false;
    };

    // What one run of recovery came to: equal for equal outcomes.
    struct Outcome {
        uint64_t digest = 0;
        bool go_on = true;
    };

    LazySearch(std::span<const std::byte> live, const PendingLines& pending, Image& image,
               const Options& options);

    // Calls `recover` over image.bytes() until every path was gone, runs_max, or it says so.
    Result run(const std::function<Outcome()>& recover);

    void before_load(const std::byte* from, size_t length) override;
    void before_checksum(const std::byte* from, size_t length) override;
    void before_store(std::byte* to, size_t length) override;

  private:
    struct OpenLine {
        uint64_t number = 0;
        std::vector<Line> states;                      // the durable one first
        std::vector<Line> representatives;             // of these
        std::vector<std::pair<uint64_t, Line>> after;  // each store, by its place among all stores
        Line newest = {};
        std::vector<uint32_t> left;  // of `states`, in the run that opened it last
        uint64_t run = 0;
        bool torn = false;
    };
    // A line of a checksum's range: the words of it that are summed.
    struct SummedLine {
        OpenLine* line = nullptr;
        uint8_t words = 0;
    };
    using SumAlternatives = std::vector<std::vector<Line>>;  // each has the words of every line
    struct WordRange {
        uint64_t begin = 0;  // by number in the region
        uint64_t end = 0;
    };
    struct Choice {
        uint32_t taken = 0;
        uint32_t of = 0;
        SumAlternatives sums = {};  // where it is of a checksum
    };

    // The open lines in a range, those that still have more than one state.
    std::vector<OpenLine*> open_in(const std::byte* from, size_t length);
    void open(OpenLine& line);
    void bound(OpenLine& line);
    Choice& choose(size_t of);
    template <class Keep>
    void narrow(OpenLine& line, Keep&& keep);
    void decide_word(OpenLine& line, size_t word);
    void settle_on(OpenLine& line, const Line& value);
    bool may_be(const OpenLine& line, const Line& value, uint8_t words = 0xFF) const;
    void note_cuts(const WordRange& sum);
    void decide_sum(const WordRange& range);
    std::vector<SummedLine> summed_lines(const WordRange& range);
    SumAlternatives after_each_store(const std::vector<SummedLine>& lines) const;
    SumAlternatives sum_alternatives(const std::vector<SummedLine>& lines) const;
    Outcome run_once(const std::function<Outcome()>& recover, bool other_bytes);
    bool next_path();

    Image& image_;
    const Options options_;
    bool all_states_ = true;
    std::vector<OpenLine> lines_;
    std::vector<int32_t> by_number_;  // line number -> index in lines_, -1: not open
    std::vector<Choice> path_;
    std::vector<WordRange> decided_sums_;  // in this run
    std::set<uint64_t> cuts_;              // a sum's range is not one decision across these words
    std::set<uint64_t> cuts_known_;        // those and what was met since
    size_t depth_ = 0;
    uint64_t run_ = 0;
    uint32_t torn_lines_ = 0;
    bool other_bytes_ = false;
    Result result_;
};

}  // namespace cinnabar::sim
