// The process that fills a log and is killed.
#include "recovery/writer.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "recovery/recovery_bench.hpp"
#include "rivals/mapping.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint64_t kAfterwards = 4096;  // records that the writer adds until it is killed

Result<void> append_all(const WriterOrder& order, int acknowledge) {
    OpenOptions options;
    options.emulate = order.emulate;
    auto log = Log::open(order.path, options);
    if (!log) return fail(log.error());
    auto stream = log->stream(kRecoveryStream);
    if (!stream) return fail(stream.error());
    AppendOptions append;
    append.durability = order.durability;
    for (uint64_t i = 0; i < order.count + kAfterwards; ++i) {
        if (i == order.count && ::write(acknowledge, "k", 1) != 1)
            return fail(Errc::io, errno_text("acknowledging"));
        const auto record = recovery_record(order.first + i);
        auto lsn = stream->append(std::as_bytes(std::span(record)), append);
        if (!lsn) return fail(lsn.error());
    }
    for (;;) ::pause();
}

}  // namespace

std::array<uint64_t, kRecoveryRecordBytes / 8> recovery_record(uint64_t number) {
    std::array<uint64_t, kRecoveryRecordBytes / 8> words;
    for (size_t i = 0; i < words.size(); ++i) words[i] = number * 0x9E3779B97F4A7C15 + i;
    return words;
}

// Arguments: program, verb, path, emulate, durability, first, count. Acknowledges on the standard
// output.
int recovery_writer_main(int argc, char** argv) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 7) return 1;
    WriterOrder order;
    order.path = argv[2];
    order.emulate = static_cast<Emulate>(std::atoi(argv[3]));
    order.durability = static_cast<Durability>(std::atoi(argv[4]));
    order.first = std::strtoull(argv[5], nullptr, 10);
    order.count = std::strtoull(argv[6], nullptr, 10);
    const auto done = append_all(order, STDOUT_FILENO);
    std::fprintf(stderr, "the writer of the recovery benchmark: %s\n",
                 done ? "nothing to do" : done.error().message.c_str());
    return 1;
}

Result<void> write_and_kill(const WriterOrder& order) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, errno_text("pipe"));
    std::vector<std::string> arguments = {"cinnabar",
                                          kRecoveryWriterVerb,
                                          order.path,
                                          std::to_string(static_cast<int>(order.emulate)),
                                          std::to_string(static_cast<int>(order.durability)),
                                          std::to_string(order.first),
                                          std::to_string(order.count)};
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& s : arguments) pointers.push_back(s.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t child = -1;
    const int code =
        ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    char acknowledged = 0;
    ssize_t got = -1;
    if (code == 0) {
        do got = ::read(ends[0], &acknowledged, 1);
        while (got < 0 && errno == EINTR);
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);  // its locks are gone with it
    }
    ::close(ends[0]);
    if (code != 0)
        return fail(Errc::io, std::string("cannot start the writer: ") + std::strerror(code));
    if (got != 1) return fail(Errc::io, "the writer ended by itself");
    return {};
}

}  // namespace cinnabar::bench
