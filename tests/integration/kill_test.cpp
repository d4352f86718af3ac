// A real text is appended record by record, forced, by a process that is killed at random moments
// and started again. After each kill the log must hold everything that was acknowledged, and
// nothing but an exact prefix of what each thread was to append.
//
// SIGKILL leaves the machine's caches as they are, so this shows nothing about flushes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <fstream>
#include <random>

#include "cinnabar/log.hpp"
#include "real_text.hpp"
#include "writer_wire.hpp"

extern char** environ;

namespace cinnabar::integration {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

struct Setting {
    const char* folder;
    bool page;
    unsigned threads;
    unsigned kills_min;
    microseconds life_max;
    bool whole_text;  // not before the text was appended from end to end
};

uint64_t seed_of_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed = given ? std::stoull(given) : std::random_device()();
    std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
}

// One life of the process, and what it said.
class Child {
  public:
    Child(const std::vector<std::string>& arguments) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
        ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        std::vector<char*> argv;
        for (const std::string& argument : arguments)
            argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        if (::posix_spawn(&process_, argv[0], &actions, nullptr, argv.data(), environ) != 0)
            std::abort();
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        pipe_ = ends[0];
    }
    ~Child() {
        if (!ended_) kill();
        ::close(pipe_);
    }
    Child(const Child&) = delete;

    // Takes messages in until `until`, or until the process has ended (false).
    template <class Each>
    bool listen(Clock::time_point until, Each&& each) {
        for (;;) {
            const auto left = std::chrono::nanoseconds(until - Clock::now()).count();
            if (left <= 0) return true;
            const timespec limit{left / 1'000'000'000, left % 1'000'000'000};
            pollfd wait{pipe_, POLLIN, 0};
            if (::ppoll(&wait, 1, &limit, nullptr) == 0) return true;
            if (!take(each)) return false;
        }
    }

    // Everything it said before its end.
    template <class Each>
    void listen_to_end(Each&& each) {
        while (take(each)) {
        }
    }

    void kill() {
        ::kill(process_, SIGKILL);
        wait();
    }
    int wait() {
        int status = 0;
        ::waitpid(process_, &status, 0);
        ended_ = true;
        return status;
    }

  private:
    template <class Each>
    bool take(Each&& each) {
        std::array<std::byte, 1024 * sizeof(Message)> bytes;
        ssize_t n = ::read(pipe_, bytes.data() + held_.size(), bytes.size() - held_.size());
        if (n <= 0) return false;
        std::copy(held_.begin(), held_.end(), bytes.begin());
        const size_t size = held_.size() + static_cast<size_t>(n);
        size_t at = 0;
        for (; at + sizeof(Message) <= size; at += sizeof(Message)) {
            Message message;
            std::memcpy(&message, &bytes[at], sizeof message);
            each(message);
        }
        held_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                     bytes.begin() + static_cast<std::ptrdiff_t>(size));
        return true;
    }

    pid_t process_ = -1;
    int pipe_ = -1;
    bool ended_ = false;
    std::vector<std::byte> held_;  // the beginning of a message
};

// What the log must hold, from the acknowledgements alone.
struct Model {
    struct Known {
        uint64_t record;
        uint64_t lsn;
    };
    struct Thread {
        std::deque<Known> known;  // at or above the mark
        uint64_t next = 0;        // number of the record behind the last one known
    };
    std::vector<Thread> threads;
    uint64_t mark = 0;
    uint64_t mark_intended = 0;
    uint64_t fulls = 0;

    // False: it said what cannot be.
    bool hear(const Message& message, uint64_t& opened) {
        switch (message.said) {
            case Said::opened: opened = message.lsn; return true;
            case Said::was_full: ++fulls; return true;
            case Said::releasing: mark_intended = message.lsn; return true;
            case Said::released: mark = message.lsn; return mark == mark_intended;
            case Said::acknowledged: break;
        }
        Thread& thread = threads.at(message.thread);
        if (message.record != thread.next) return false;
        thread.known.push_back({message.record, message.lsn});
        ++thread.next;
        return true;
    }
};

class Kill : public testing::TestWithParam<Setting> {
  protected:
    void SetUp() override {
        folder_ = place_for(GetParam().folder) / "cinnabar-kill.XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr) << folder_;
        text_ = real_text(kTextBytes);
        ASSERT_GE(text_.size(), kTextBytes) << "this machine holds less text than the test needs";
        std::ofstream(folder_ + "/text", std::ios::binary) << text_;
        const auto records = records_of(text_, kRecordBytesMax);
        for (unsigned t = 0; t < GetParam().threads; ++t)
            shares_.push_back(share_of(records, t, GetParam().threads));
        model_.threads.resize(GetParam().threads);
        random_.seed(seed_of_run());
        make_pool();
    }
    void TearDown() override {
        if (!folder_.empty()) std::filesystem::remove_all(folder_);
    }

    // The folder, if it has room, or wherever temporary files are made here.
    static std::filesystem::path place_for(const std::filesystem::path& wanted) {
        std::error_code none;
        const auto space = std::filesystem::space(wanted, none);
        if (!none && space.available > 2 * (kPoolBytes + kTextBytes) &&
            ::access(wanted.c_str(), W_OK) == 0)
            return wanted;
        return std::filesystem::temp_directory_path();
    }

    void make_pool() {
        ASSERT_TRUE(Log::create(folder_ + "/pool", {kPoolBytes, kSegmentBytes}));
        auto log = open(false);
        ASSERT_TRUE(log) << log.error().message;
        ASSERT_TRUE(
            log->add_stream("text", GetParam().threads == 1 ? Writers::one : Writers::many));
        ASSERT_TRUE(log->add_service("text", "reader"));
        segments_ = log->segments_total();
    }

    Result<Log> open(bool read_only) {
        OpenOptions options;
        options.read_only = read_only;
        options.emulate = GetParam().page ? Emulate::no : Emulate::cache_line;
        return Log::open(folder_ + "/pool", options);
    }

    uint64_t between(uint64_t least, uint64_t most) {
        return std::uniform_int_distribution<uint64_t>(least, most)(random_);
    }

    std::vector<std::string> arguments(uint64_t records_max, uint64_t keep) const {
        std::vector<std::string> words = {KILL_WRITER,
                                          folder_ + "/pool",
                                          folder_ + "/text",
                                          GetParam().page ? "page" : "cache_line",
                                          std::to_string(GetParam().threads),
                                          std::to_string(records_max),
                                          std::to_string(keep)};
        for (const Model::Thread& thread : model_.threads)
            words.push_back(std::to_string(thread.next));
        return words;
    }

    void hear(const Message& message) {
        uint64_t opened = UINT64_MAX;
        EXPECT_TRUE(model_.hear(message, opened)) << "the process said what cannot be";
        if (opened == UINT64_MAX) return;
        opened_ = true;
        EXPECT_EQ(opened, end_) << "recovered twice, two ends";
    }

    // One life that ends at a random moment: while it starts and recovers, with its first records,
    // or any time later. It keeps few records, or many, or lets the log become full.
    void live_and_die() {
        const auto life_max = static_cast<uint64_t>(GetParam().life_max.count());
        const uint64_t kind = between(0, 9);
        const bool early = kind < 2;
        const auto life = microseconds(between(0, early      ? 20'000
                                                  : kind < 4 ? life_max / 200
                                                  : kind < 9 ? life_max
                                                             : life_max * 8));
        const uint64_t keep = std::array<uint64_t, 4>{500, 5000, 1u << 30, 1u << 30}[between(0, 3)];
        opened_ = false;
        Child child(arguments(0, keep));
        const auto each = [this](const Message& message) { hear(message); };
        const auto patience = Clock::now() + std::chrono::seconds(20);
        bool alive = true;
        while (!early && alive && !opened_ && Clock::now() < patience)
            alive = child.listen(Clock::now() + microseconds(500), each);
        if (alive) alive = child.listen(Clock::now() + life, each);
        EXPECT_TRUE(alive) << "the process ended by itself";
        child.kill();
        child.listen_to_end(each);
        ++kills_;
        if (!opened_) ++kills_early_;
    }

    void verify(bool read_only) {
        auto log = open(read_only);
        ASSERT_TRUE(log) << log.error().message;
        ASSERT_TRUE(log->report().clean());
        auto damage = log->check();
        ASSERT_TRUE(damage) << damage.error().message;
        for (const Damage& one : *damage) ADD_FAILURE() << one.verdict << " in " << one.stream;
        const uint64_t mark = log->services().at(0).low_water.value;
        ASSERT_TRUE(mark == model_.mark || mark == model_.mark_intended)
            << "the mark is " << mark << ", not " << model_.mark << " nor " << model_.mark_intended;
        model_.mark = model_.mark_intended = mark;
        auto stream = log->stream("text");
        ASSERT_TRUE(stream) << stream.error().message;
        end_ = stream->appended().value;
        auto reader = stream->read();
        ASSERT_TRUE(reader) << reader.error().message;
        ASSERT_NO_FATAL_FAILURE(compare(*reader));
    }

    // Walks the log beside the model. What was in flight may be there: one record of each thread.
    void compare(Reader& reader) {
        struct At {
            size_t matched = 0;
            unsigned unacknowledged = 0;
        };
        std::vector<At> at(model_.threads.size());
        for (Model::Thread& thread : model_.threads)
            while (!thread.known.empty() && thread.known.front().lsn < model_.mark)
                thread.known.pop_front();
        uint64_t last_lsn = 0;
        for (;;) {
            auto record = reader.next();
            ASSERT_TRUE(record) << record.error().message;
            if (!*record) break;
            const unsigned t = (*record)->kind;
            ASSERT_LT(t, model_.threads.size());
            Model::Thread& thread = model_.threads[t];
            const uint64_t lsn = (*record)->lsn.value;
            ASSERT_TRUE(last_lsn < lsn || last_lsn == 0);
            last_lsn = lsn;
            if (at[t].matched == thread.known.size()) {
                ASSERT_EQ(++at[t].unacknowledged, 1u) << "more than can have been in flight";
                thread.known.push_back({thread.next++, lsn});
                ++unacknowledged_;
            }
            const Model::Known& known = thread.known[at[t].matched++];
            ASSERT_EQ(lsn, known.lsn) << "record " << known.record << " of thread " << t;
            const std::string_view expected = shares_[t][known.record % shares_[t].size()];
            const Bytes payload = (*record)->payload;
            ASSERT_EQ(
                std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()),
                expected)
                << "record " << known.record << " of thread " << t;
        }
        for (size_t t = 0; t < at.size(); ++t)
            ASSERT_EQ(at[t].matched, model_.threads[t].known.size())
                << "acknowledged records of thread " << t << " are gone";
    }

    bool text_done() const {
        for (size_t t = 0; t < shares_.size(); ++t)
            if (model_.threads[t].next < shares_[t].size()) return false;
        return true;
    }

    // The last life ends by itself, with a clean close.
    void live_to_the_end() {
        Child child(arguments(50, 5000));
        child.listen_to_end([this](const Message& message) { hear(message); });
        EXPECT_EQ(child.wait(), 0);
    }

    void report() const {
        uint64_t records = 0;
        for (const Model::Thread& thread : model_.threads) records += thread.next;
        std::printf(
            "%u kills, %u of them before the log was open; %llu records of %zu bytes of "
            "text, LSN %llu over %u segments of %llu; %llu found that were in flight, "
            "%llu times full\n",
            kills_, kills_early_, static_cast<unsigned long long>(records), text_.size(),
            static_cast<unsigned long long>(end_), segments_,
            static_cast<unsigned long long>(kSegmentBytes),
            static_cast<unsigned long long>(unacknowledged_),
            static_cast<unsigned long long>(model_.fulls));
    }

    static constexpr uint64_t kPoolBytes = uint64_t{9} << 20;
    static constexpr uint64_t kSegmentBytes = 64 << 10;

    std::string folder_, text_;
    std::vector<std::vector<std::string_view>> shares_;
    std::mt19937_64 random_;
    Model model_;
    uint64_t end_ = 0;
    uint32_t segments_ = 0;
    bool opened_ = false;
    unsigned kills_ = 0, kills_early_ = 0;
    uint64_t unacknowledged_ = 0;
};

TEST_P(Kill, KeepsWhatWasAcknowledged) {
    const auto deadline = Clock::now() + std::chrono::seconds(90);
    while (kills_ < GetParam().kills_min || (GetParam().whole_text && !text_done())) {
        ASSERT_LT(Clock::now(), deadline) << kills_ << " kills";
        ASSERT_NO_FATAL_FAILURE(live_and_die());
        ASSERT_NO_FATAL_FAILURE(verify(true)) << "after kill " << kills_;
        // Every other life begins on what an earlier recovery left, the others recover themselves.
        if (kills_ % 2 == 0) {
            ASSERT_NO_FATAL_FAILURE(verify(false)) << "after kill " << kills_;
        }
        if (HasFailure()) break;
    }
    ASSERT_NO_FATAL_FAILURE(live_to_the_end());
    ASSERT_NO_FATAL_FAILURE(verify(true));
    report();
    if (GetParam().whole_text) {
        EXPECT_GT(end_, 2 * segments_ * kSegmentBytes) << "segments were hardly recycled";
    }
}

constexpr Setting kSettings[] = {
    {"/dev/shm", false, 1, 100, microseconds(60'000), true},
    {"/dev/shm", false, 4, 30, microseconds(60'000), true},
    {"/var/tmp", true, 1, 10, microseconds(200'000), false},
    {"/var/tmp", true, 4, 5, microseconds(200'000), false},
};

std::string name_of_setting(const testing::TestParamInfo<Setting>& info) {
    return std::string(info.param.page ? "Page" : "CacheLine") +
           (info.param.threads == 1 ? "OneWriter" : "ManyWriters");
}

INSTANTIATE_TEST_SUITE_P(Process, Kill, testing::ValuesIn(kSettings), name_of_setting);

}  // namespace
}  // namespace cinnabar::integration
