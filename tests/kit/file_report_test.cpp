// Violations of a structure in a file, under libpmem's functions: a fix is tried over the file as
// it was, and so is a replay.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libpmem.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinnabar/crash.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>

#include "kit/folder.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

constexpr size_t kFileBytes = 16384;

// The whole file, mapped while this lives; made where it is not there.
class Mapped {
  public:
    explicit Mapped(const std::string& path) {
        const bool is_there = std::filesystem::exists(path);
        at_ = pmem_map_file(path.c_str(), is_there ? 0 : kFileBytes,
                            is_there ? 0 : PMEM_FILE_CREATE, 0600, &bytes_, nullptr);
        if (at_ == nullptr) throw std::runtime_error(pmem_errormsg());
    }
    ~Mapped() { pmem_unmap(at_, bytes_); }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    uint64_t* words() const { return static_cast<uint64_t*>(at_); }

  private:
    void* at_ = nullptr;
    size_t bytes_ = 0;
};

// A count in the first line and a word in each that it counts, made durable together.
void append(uint64_t* words, uint64_t number) {
    words[0] = number;
    words[number * 8] = number;
    pmem_persist(words, kFileBytes);
}

crash::Test file_test(const std::string& path) {
    return {.workload =
                [path](crash::History& history) {
                    const Mapped file(path);
                    for (uint64_t number = 1; number <= 3; ++number) {
                        const size_t operation = history.begin(std::to_string(number));
                        append(file.words(), number);
                        history.acknowledge(operation);
                    }
                },
            .recover =
                [](std::span<std::byte> image) {
                    const auto* words = reinterpret_cast<const uint64_t*>(image.data());
                    std::string lines;
                    for (uint64_t number = 1; number <= words[0]; ++number)
                        lines += std::to_string(words[number * 8]) + "\n";
                    return lines;
                },
            .check = crash::prefix_of_appends()};
}

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(FileReport, AFixIsTriedOverTheFileAsItWas) {
    const Folder folder;
    const std::string path = folder.file("words");
    const crash::Report report = crash::run_file(path, file_test(path)).value();
    ASSERT_FALSE(report.clean());
    const crash::Violation& first = report.violations[0];
    EXPECT_TRUE(first.order.starts_with("of what is stored before pmem_persist by "))
        << first.order;
    EXPECT_TRUE(first.order.ends_with(", offset 64 must be durable before offset 0"));
    EXPECT_EQ(first.fix, "with a flush and a fence between the two nothing is found");
}

TEST(FileReport, AReplayOverTheFileAsItWasIsTheKeptImage) {
    const Folder folder;
    const std::string path = folder.file("words");
    const crash::Test test = file_test(path);
    const crash::Options options{.image_folder = folder.path()};
    const crash::Report report = crash::run_file(path, test, options).value();
    ASSERT_FALSE(report.clean());
    const std::string& replay = report.violations[0].replay;
    const auto over_another = crash::image_of_file(path, test, replay);
    ASSERT_FALSE(over_another.has_value());
    EXPECT_NE(over_another.error().message.find("began over other bytes"), std::string::npos);
    std::filesystem::remove(path);
    const auto image = crash::image_of_file(path, test, replay);
    ASSERT_TRUE(image.has_value()) << image.error().message;
    const std::string kept = bytes_of(folder.file("violation-1.image"));
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(kept)), *image));
}

// What stood in the file before counts as durable, and stands there again when a fix is tried.
TEST(FileReport, AFileThatIsThereIsPutBack) {
    const Folder folder;
    const std::string path = folder.file("words");
    const crash::Test test = file_test(path);
    crash::Test once = test;
    once.check = [](std::string_view, const crash::History&) { return std::string(); };
    (void)crash::run_file(path, once).value();
    crash::Test over = test;
    // Were the file not put back, the count would be 3 at the second run's start.
    over.workload = [&](crash::History& history) {
        const uint64_t count = static_cast<unsigned char>(bytes_of(path)[0]);
        if (count != 3) throw std::runtime_error("it begins with " + std::to_string(count));
        const Mapped file(path);
        for (uint64_t number = 1; number <= 3; ++number)
            history.acknowledge(history.begin(std::to_string(number)));
        history.begin("4");
        append(file.words(), 4);
    };
    const crash::Report report = crash::run_file(path, over).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].fix, "with a flush and a fence between the two nothing is found")
        << report.text();
}

// What stood in a file that the workload removes is not in the one that it makes in its place, also
// where a file system gives it the same number again; nor is what was cut off.
TEST(FileReport, AFileThatIsMadeAnewBeginsWithZeros) {
    using Clear = std::function<void(const std::string& path)>;
    const Clear remove = [](const std::string& path) { std::filesystem::remove(path); };
    const Clear cut_off = [](const std::string& path) {
        std::filesystem::resize_file(path, 0);
        std::filesystem::resize_file(path, kFileBytes);
    };
    const Clear look_and_remove = [](const std::string& path) {
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        ::munmap(::mmap(nullptr, kFileBytes, PROT_READ, MAP_SHARED, file, 0), kFileBytes);
        ::close(file);
        std::filesystem::remove(path);
    };
    const std::string disk = std::filesystem::temp_directory_path();
    for (const auto& [in, clear] : {std::pair("/dev/shm", remove),
                                    {disk.c_str(), remove},
                                    {disk.c_str(), cut_off},
                                    {disk.c_str(), look_and_remove}}) {
        const Folder folder(in);
        const std::string path = folder.file("words");
        std::ofstream(path) << std::string(kFileBytes, 'x');
        crash::Test test = file_test(path);
        test.workload = [&, write = test.workload](crash::History& history) {
            clear(path);
            write(history);
        };
        const crash::Report report = crash::run_file(path, test).value();
        ASSERT_EQ(report.violations.size(), 1u) << report.text();
        EXPECT_EQ(report.violations[0].what,
                  "only the first 0 of 1 operations are there as they were appended, and then "
                  "comes '0'")
            << in;
    }
}

// One that is prepared under another name holds what it holds when it is mapped under its own;
// where it was mapped before, nobody knows what of it was made durable.
TEST(FileReport, AFileThatIsRenamedToItsName) {
    const Folder folder;
    const std::string path = folder.file("words");
    const auto prepare = [](const Mapped& file) {
        file.words()[8] = 1;
        file.words()[0] = 1;
        pmem_persist(file.words(), kFileBytes);
    };
    crash::Test test = file_test(path);
    test.workload = [&](crash::History& history) {
        history.acknowledge(history.begin("1"));
        prepare(Mapped(path + ".new"));
        std::filesystem::rename(path + ".new", path);
        const Mapped file(path);
        pmem_persist(file.words(), kFileBytes);
    };
    const crash::Report renamed = crash::run_file(path, test).value();
    EXPECT_TRUE(renamed.clean()) << renamed.text();
    EXPECT_GE(renamed.crash_points, 1u);

    test.workload = [&](crash::History&) {
        const Mapped file(path + ".new");
        prepare(file);
        std::filesystem::rename(path + ".new", path);
        pmem_persist(file.words(), kFileBytes);
    };
    const crash::Report mapped = crash::run_file(path, test).value();
    ASSERT_EQ(mapped.violations.size(), 1u) << mapped.text();
    EXPECT_EQ(mapped.violations[0].kind, crash::ViolationKind::misuse);
    EXPECT_NE(mapped.violations[0].what.find("was mapped under another name before"),
              std::string::npos);
}

// What is stored to the other one, and promised of it, is held against nothing.
TEST(FileReport, AFileThatAnotherTakesThePlaceOfIsMisuse) {
    for (const bool is_mapped : {true, false}) {
        const Folder folder;
        const std::string path = folder.file("words");
        crash::Test test = file_test(path);
        test.workload = [&](crash::History& history) {
            const auto add = [&](uint64_t number) {
                const Mapped file(path);
                uint64_t* words = file.words();
                const size_t operation = history.begin(std::to_string(number));
                words[number * 8] = number;
                pmem_persist(&words[number * 8], sizeof *words);
                words[0] = number;
                pmem_persist(words, sizeof *words);
                history.acknowledge(operation);
            };
            for (const uint64_t number : {1, 2, 3}) add(number);
            std::filesystem::copy_file(path, path + ".new");
            std::filesystem::rename(path + ".new", path);
            if (is_mapped) add(4);
        };
        const crash::Report report = crash::run_file(path, test).value();
        ASSERT_EQ(report.violations.size(), 1u) << report.text();
        EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::misuse);
        EXPECT_TRUE(
            report.violations[0].what.starts_with("another file has taken the place of '" + path));
        EXPECT_GE(report.crash_points, 6u);
    }
}

bool is_locked_for_others(const std::string& path) {
    const pid_t child = ::fork();
    if (child == 0) {
        struct flock all = {};
        all.l_type = F_WRLCK;
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        ::_Exit(file >= 0 && ::fcntl(file, F_SETLK, &all) == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status != 0;
}

// Whoever closes a file drops the locks that its process has of it.
TEST(FileReport, AFileThatIsMappedKeepsItsLocks) {
    const Folder folder;
    const std::string path = folder.file("words");
    std::ofstream(path) << std::string(kFileBytes, '\0');
    crash::Test test = file_test(path);
    bool is_locked = false;
    test.workload = [&](crash::History&) {
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        struct flock all = {};
        all.l_type = F_WRLCK;
        ASSERT_EQ(::fcntl(file, F_SETLK, &all), 0);
        void* at = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        is_locked = is_locked_for_others(path);
        pmem_persist(at, 8);
        ::munmap(at, kFileBytes);
        ::close(file);
    };
    EXPECT_TRUE(crash::run_file(path, test).value().clean());
    EXPECT_TRUE(is_locked);
}

// Puts another file in the place of each that is open under this path, and gives their numbers.
std::set<int> take_numbers_of(const std::string& path, int other) {
    std::set<int> numbers;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        if (std::filesystem::read_symlink(entry.path(), ignored) == path)
            numbers.insert(std::stoi(entry.path().filename()));
    for (const int number : numbers) EXPECT_EQ(::dup2(other, number), number);
    return numbers;
}

// A workload may close what it has not opened, and open files of its own in that place.
TEST(FileReport, ANumberThatIsAnothersByThenIsNotClosed) {
    const Folder folder;
    const std::string path = folder.file("words");
    const int other = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    std::set<int> taken;
    crash::Test test = file_test(path);
    test.workload = [&](crash::History&) {
        const Mapped file(path);
        append(file.words(), 1);
        std::filesystem::resize_file(path, 2 * kFileBytes);
        append(file.words(), 2);
        // From now on nobody looks whether the number is still the file's.
        taken = take_numbers_of(path, other);
    };
    const crash::Report report = crash::run_file(path, test, {.fixes_max = 0}).value();
    EXPECT_NE(report.text().find("the file's size has changed"), std::string::npos)
        << report.text();
    EXPECT_EQ(taken.size(), 1u);
    for (const int number : taken) EXPECT_EQ(::close(number), 0) << number;
    ::close(other);
}

// Which the workload makes longer each time that it runs.
TEST(FileReport, AFileThatIsPutBackIsAsLongAsItWas) {
    const Folder folder;
    const std::string path = folder.file("words");
    std::ofstream(path) << std::string(kFileBytes, '\0');
    crash::Test test = file_test(path);
    test.workload = [&](crash::History& history) {
        const auto bytes = std::filesystem::file_size(path);
        if (bytes != kFileBytes) throw std::runtime_error("it has " + std::to_string(bytes));
        std::filesystem::resize_file(path, 2 * kFileBytes);
        const Mapped file(path);
        history.begin("1");
        append(file.words(), 1);
    };
    const crash::Report report = crash::run_file(path, test).value();
    ASSERT_EQ(report.violations.size(), 1u) << report.text();
    EXPECT_EQ(report.violations[0].fix, "with a flush and a fence between the two nothing is found")
        << report.text();
}

// A file of x's; and from when it says on, no file may have more than half of its bytes.
struct FileWithALimit {
    FileWithALimit() {
        std::ofstream(path) << std::string(kFileBytes, 'x');
        EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
        handler = ::signal(SIGXFSZ, SIG_IGN);
    }
    ~FileWithALimit() {
        ::setrlimit(RLIMIT_FSIZE, &before);
        ::signal(SIGXFSZ, handler);
    }
    void limit() const {
        const struct rlimit half = {kFileBytes / 2, before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &half);
    }

    const Folder folder;
    const std::string path = folder.file("words");
    struct rlimit before = {};
    sighandler_t handler = SIG_DFL;
};

// Where it cannot be put back, for lack of space, what is there of it stays.
TEST(FileReport, AFileThatCannotBePutBackIsNotTakenAway) {
    const FileWithALimit file;
    crash::Test test = file_test(file.path);
    test.workload = [&](crash::History&) {
        const Mapped mapped(file.path);
        auto* at = reinterpret_cast<char*>(mapped.words());
        at[0] = at[100] = at[kFileBytes - 1] = 'y';
        pmem_persist(at, kFileBytes);
        file.limit();
    };
    test.recover = [](std::span<std::byte> image) {
        return std::string(image[0] != image[100] ? "half" : "");
    };
    test.check = [](std::string_view digest, const crash::History&) { return std::string(digest); };
    const auto report = crash::run_file(file.path, test);
    ASSERT_EQ(report->violations.size(), 1u) << report->text();
    EXPECT_NE(report->violations[0].fix.find("words' cannot be written: "), std::string::npos)
        << report->text();
    std::string left(kFileBytes, 'x');
    left.back() = 'y';
    EXPECT_TRUE(bytes_of(file.path) == left);
}

// What the system refuses is no violation of the workload's, nor misuse.
TEST(FileReport, WithoutMemoryForImagesIsAnError) {
    const FileWithALimit file;
    crash::Test test = file_test(file.path);
    test.workload = [&](crash::History&) {
        const Mapped mapped(file.path);
        file.limit();
        pmem_persist(mapped.words(), kFileBytes);
    };
    const auto report = crash::run_file(file.path, test);
    ASSERT_FALSE(report.has_value()) << report->text();
    EXPECT_EQ(report.error().code, cinnabar::Errc::io);
    EXPECT_TRUE(report.error().message.starts_with("no memory for images: "));
}

}  // namespace
}  // namespace kit_test
