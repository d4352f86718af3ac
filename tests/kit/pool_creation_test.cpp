// The creation of a pool of cinnabar's, which libpmemobj orders: at each crash in it, what stands
// in the file is refused with a clear error or opens as an empty pool.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cinnabar/crash.hpp>
#include <cinnabar/log.hpp>
#include <set>
#include <stdexcept>
#include <string>

#include "kit/bounded.hpp"
#include "kit/folder.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

std::string open_created(const std::string& path) {
    auto log = cinnabar::Log::open(path);
    if (!log) {
        const std::string_view code = name_of(log.error().code);
        return "refused: " + std::string(code) + ": " + log.error().message;
    }
    const auto damage = log->check();
    if (!damage) return "opens, and cannot be checked: " + damage.error().message;
    if (!damage->empty()) return "opens damaged";
    if (log->streams().size() == 1 && log->stream("first")) return "empty";  // recovered before
    if (!log->streams().empty()) return "opens, and holds a stream";
    const auto stream = log->add_stream("first", cinnabar::Writers::one);
    if (!stream) return "opens, and takes no stream: " + stream.error().message;
    return "empty";
}

// Each says that there is no pool of ours: a header of libpmemobj's that is half there has a format
// that no version of it writes. "io", "exists" or "locked" would say something else.
constexpr std::array kRefusals = {"not_a_pool", "wrong_layout", "unsupported_version", "corrupt"};

bool is_refused_rightly(std::string_view digest) {
    return std::ranges::any_of(kRefusals, [&](const std::string& code) {
        return digest.starts_with("refused: " + code + ": ");
    });
}

TEST(PoolCreation, LeavesAnEmptyPoolOrNone) {
    const Folder folder;
    std::set<std::string, std::less<>> digests;
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const size_t creation = history.begin("create");
                cinnabar::CreateOptions options;
                options.pool_bytes = 16 << 20;
                options.segment_bytes = 1 << 20;
                const auto created = cinnabar::Log::create(folder.file("pool"), options);
                if (!created) throw std::runtime_error(created.error().message);
                history.acknowledge(creation);
            },
        .recover_file = open_created,
        .check =
            [&](std::string_view digest, const crash::History& history) {
                digests.emplace(digest);
                if (digest == "empty") return std::string();
                if (history.acknowledged_prefix() == 0 && is_refused_rightly(digest))
                    return std::string();
                return std::string(digest);
            }};
    crash::Options options = bounded();
    options.image_folder = folder.path();
    const crash::Report report = crash::run_file(folder.path(), test, options).value();
    expect_clean(report);
    // It was looked at while it was no pool, half of one, and a whole one.
    for (const char* found :
         {"refused: not_a_pool", "refused: wrong_layout", "refused: corrupt", "empty"})
        EXPECT_TRUE(std::ranges::any_of(digests, [&](const std::string& digest) {
            return digest.starts_with(found);
        })) << found;
}

}  // namespace
}  // namespace kit_test
