// An exploration that an exception ends: the next crash point is one again, and a run says so.
#include <gtest/gtest.h>

#include <new>

#include "crash/recorder.hpp"
#include "crash/run.hpp"
#include "kit/notebook.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;
using cinnabar::Domain;

TEST(Interrupted, TheNextFenceIsACrashPointAgain) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Recorder recorder(region.bytes(), region.bytes(), region.domain());
    int calls = 0;
    recorder.on_fence([&](cinnabar::Site) {
        if (++calls == 1) throw std::bad_alloc();
    });
    EXPECT_THROW(recorder.fence(recorder.place("first")), std::bad_alloc);
    recorder.fence(recorder.place("second"));
    EXPECT_EQ(calls, 2);
}

TEST(Interrupted, TheLastCrashPoint) {
    crash::Region region = crash::Region::create(4096, Domain::cache_line).value();
    crash::Test test = notebook_test(region, Wrong::nothing);
    test.workload = [](crash::History&) {};
    const crash::Options options;
    crash::Run run(test, options);
    ASSERT_TRUE(run.start().has_value());
    crash::Recorder recorder(region.bytes(), region.bytes(), region.domain());
    ASSERT_TRUE(run.watch(recorder).has_value());
    recorder.read_while([]() -> bool { throw std::bad_alloc(); });
    run.run_workload();
    const crash::Report report = run.finish().value();
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].what, "the last crash point threw: std::bad_alloc");
}

}  // namespace
}  // namespace kit_test
