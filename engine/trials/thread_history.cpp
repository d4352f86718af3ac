#include "trials/thread_history.hpp"

#include <algorithm>
#include <cstring>

namespace cinnabar::trials {

namespace {

constexpr uint64_t kNumbers = 1000;  // of each thread

size_t thread_of(const std::vector<std::byte>& payload) {
    uint64_t tag = 0;
    std::memcpy(&tag, payload.data(), std::min(sizeof tag, payload.size()));
    return tag / kNumbers;
}

}  // namespace

std::vector<std::byte> ThreadHistory::bytes_of(size_t thread, size_t number) const {
    return record_bytes(thread * kNumbers + number,
                        8 + (thread * 37 + number * 53) % (length_max_ - 7));
}

std::vector<std::byte> ThreadHistory::next(size_t thread) {
    Own& own = threads_[thread];
    own.lsn.emplace_back();
    return bytes_of(thread, own.lsn.size() - 1);
}

void ThreadHistory::acknowledge(size_t thread) {
    Own& own = threads_[thread];
    own.acknowledged = own.lsn.size();
    acknowledge_below(own.lsn.back()->value);
}

std::string ThreadHistory::compare(const Records& records) const {
    std::vector<size_t> found(threads_.size(), 0);
    for (const auto& [lsn, told, payload] : records) {
        const size_t thread = thread_of(payload);
        const std::string at = "LSN " + std::to_string(lsn.value) + ": ";
        if (thread >= threads_.size() || found[thread] >= threads_[thread].lsn.size())
            return at + "never appended";
        if (payload != bytes_of(thread, found[thread])) return at + "not its thread's next";
        const auto& appended = threads_[thread].lsn[found[thread]];
        if (appended && *appended != lsn) return at + "appended elsewhere";
        ++found[thread];
    }
    const Lsn last = records.empty() ? Lsn{} : records.back().lsn;
    for (size_t thread = 0; thread < threads_.size(); ++thread) {
        const Own& own = threads_[thread];
        if (found[thread] < own.acknowledged)
            return "thread " + std::to_string(thread) + ": an acknowledged record is gone";
        for (size_t i = found[thread]; i < own.lsn.size(); ++i) {
            if (!own.lsn[i]) continue;
            const std::string gone = "LSN " + std::to_string(own.lsn[i]->value) + " is gone, and ";
            if (own.lsn[i]->value < acknowledged_) return gone + "a later record was acknowledged";
            if (*own.lsn[i] < last) return gone + "a later record is there";
        }
    }
    return "";
}

size_t ThreadHistory::deliver(const Records& records) {
    for (Own& own : threads_) own = {};
    for (const ReadRecord& record : records) {
        Own& own = threads_[thread_of(record.payload)];
        own.lsn.emplace_back(record.lsn);
        ++own.acknowledged;
    }
    threads_.emplace_back();
    return threads_.size() - 1;
}

std::string go_on(const SimPool& crashed, Life& next, ThreadHistory& history) {
    if (std::string wrong = recover(crashed, next); !wrong.empty()) return wrong;
    const auto records = next.read("s");
    if (!records) return "read: " + records.error().message;
    if (std::string wrong = history.compare(*records); !wrong.empty()) return wrong;
    const size_t thread = history.deliver(*records);
    const auto core = next.engine().stream("s");
    for (int i = 0; i < 4; ++i) {
        const std::vector<std::byte> bytes = history.next(thread);
        const Bytes piece(bytes);
        auto lsn = core->append({&piece, 1}, bytes.size(), {});
        if (!lsn) return "append: " + lsn.error().message;
        history.appended(thread, *lsn);
        history.acknowledge(thread);
    }
    return "";
}

std::string recover_and_compare(Crashed& crashed, const ThreadHistory& history) {
    if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
    auto records = crashed.life.read("s");
    return records ? history.compare(*records) : "read: " + records.error().message;
}

}  // namespace cinnabar::trials
