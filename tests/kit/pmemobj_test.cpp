// Someone else's transactions and allocator under the kit: programs over libpmemobj as Debian ships
// it, and the same with one thing done wrong.
#include <gtest/gtest.h>
#include <libpmemobj.h>

#include <cinnabar/crash.hpp>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kit/bounded.hpp"
#include "kit/folder.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

constexpr const char* kLayout = "shelf";
constexpr uint64_t kBookType = 1;
constexpr size_t kBooksMax = 24;

struct Book {
    PMEMoid next;
    char title[40];
};

struct Shelf {
    PMEMoid newest;  // a list, changed by transactions
    uint64_t books;
    PMEMoid places[kBooksMax];  // each set by one atomic allocation
};

std::string error() {
    return pmemobj_errormsg();
}

// An open pool, closed at the end.
class Pool {
  public:
    explicit Pool(const std::string& path) : pool_(pmemobj_open(path.c_str(), kLayout)) {
        if (pool_ == nullptr) throw std::runtime_error(error());
    }
    ~Pool() { pmemobj_close(pool_); }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    PMEMobjpool* get() const { return pool_; }
    PMEMoid root() const { return pmemobj_root(pool_, sizeof(Shelf)); }
    Shelf* shelf() const { return static_cast<Shelf*>(pmemobj_direct(root())); }

  private:
    PMEMobjpool* pool_;
};

void create_shelf(const std::string& path) {
    PMEMobjpool* pool = pmemobj_create(path.c_str(), kLayout, PMEMOBJ_MIN_POOL, 0600);
    if (pool == nullptr) throw std::runtime_error(error());
    pmemobj_root(pool, sizeof(Shelf));
    pmemobj_close(pool);
}

// One transaction puts two books on the list.
void put_two(const Pool& pool, const std::string titles[2], bool all_announced) {
    Shelf* shelf = pool.shelf();
    pmemobj_tx_begin(pool.get(), nullptr, TX_PARAM_NONE);
    pmemobj_tx_add_range(pool.root(), offsetof(Shelf, newest), sizeof shelf->newest);
    if (all_announced)
        pmemobj_tx_add_range(pool.root(), offsetof(Shelf, books), sizeof shelf->books);
    for (int i = 0; i < 2; ++i) {
        const PMEMoid id = pmemobj_tx_zalloc(sizeof(Book), kBookType);
        auto* book = static_cast<Book*>(pmemobj_direct(id));
        book->next = shelf->newest;
        std::memcpy(book->title, titles[i].data(), titles[i].size());
        shelf->newest = id;
        ++shelf->books;
    }
    pmemobj_tx_commit();
    pmemobj_tx_end();
}

// The list, newest first, and whether it has as many books as it says.
std::string recover_list(const std::string& path) {
    const Pool pool(path);
    std::string titles;
    uint64_t books = 0;
    for (PMEMoid id = pool.shelf()->newest; !OID_IS_NULL(id); ++books) {
        const auto* book = static_cast<const Book*>(pmemobj_direct(id));
        titles.append(book->title).append("\n");
        id = book->next;
    }
    return books == pool.shelf()->books ? titles : "counted wrong";
}

crash::Report list_report(bool all_announced) {
    const Folder folder;
    const std::string path = folder.file("pool");
    create_shelf(path);
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const Pool pool(path);
                for (int i = 0; i < 2; ++i) {
                    const std::string titles[2] = {"volume " + std::to_string(2 * i),
                                                   "volume " + std::to_string(2 * i + 1)};
                    const size_t operation = history.begin(titles[0] + "\n" + titles[1]);
                    put_two(pool, titles, all_announced);
                    history.acknowledge(operation);
                }
            },
        .recover_file = recover_list,
        .check = crash::atomic_records()};
    return crash::run_file(path, test, bounded()).value();
}

TEST(Pmemobj, ATransactionIsAtomic) {
    expect_clean(list_report(true));
}

TEST(Pmemobj, ARangeThatIsNotAnnouncedIsFound) {
    const crash::Report report = list_report(false);
    ASSERT_FALSE(report.clean());
    EXPECT_NE(report.text().find("'counted wrong'"), std::string::npos) << report.text();
}

// What an allocation writes into its object before anybody sees it.
struct Title {
    const char* text;
    bool persisted;
};

int write_title(PMEMobjpool* pool, void* object, void* argument) {
    auto* book = static_cast<Book*>(object);
    const auto* title = static_cast<const Title*>(argument);
    std::memset(static_cast<void*>(book), 0, sizeof *book);
    std::strncpy(book->title, title->text, sizeof book->title - 1);
    if (title->persisted) pmemobj_persist(pool, book, sizeof *book);
    return 0;
}

std::string recover_places(const std::string& path) {
    const Pool pool(path);
    std::string titles;
    for (const PMEMoid id : pool.shelf()->places) {
        if (OID_IS_NULL(id)) break;
        titles.append(static_cast<const Book*>(pmemobj_direct(id))->title).append("\n");
    }
    return titles;
}

crash::Report places_report(bool persisted) {
    const Folder folder;
    const std::string path = folder.file("pool");
    create_shelf(path);
    const crash::Test test{
        .workload =
            [&](crash::History& history) {
                const Pool pool(path);
                for (int i = 0; i < 3; ++i) {
                    const std::string text = "volume " + std::to_string(i);
                    const size_t operation = history.begin(text);
                    Title title = {text.c_str(), persisted};
                    if (pmemobj_alloc(pool.get(), &pool.shelf()->places[i], sizeof(Book), kBookType,
                                      write_title, &title) != 0)
                        throw std::runtime_error(error());
                    history.acknowledge(operation);
                }
            },
        .recover_file = recover_places,
        .check = crash::prefix_of_appends()};
    return crash::run_file(path, test, bounded()).value();
}

TEST(Pmemobj, AnAllocationIsAtomic) {
    expect_clean(places_report(true));
}

TEST(Pmemobj, AConstructorThatDoesNotPersistIsFound) {
    const crash::Report report = places_report(false);
    ASSERT_FALSE(report.clean());
    EXPECT_EQ(report.violations[0].kind, crash::ViolationKind::wrong) << report.text();
}

}  // namespace
}  // namespace kit_test
