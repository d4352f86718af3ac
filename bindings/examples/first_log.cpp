// Opens a log, appends one record, and reads back all there are.
#include <cinnabar/log.hpp>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
    const char* path = argc > 1 ? argv[1] : "first.pool";
    auto created = cinnabar::Log::create(path);
    if (!created && created.error().code != cinnabar::Errc::already_exists)
        return std::puts(created.error().message.c_str()), 1;
    auto log = cinnabar::Log::open(path);  // recovers whatever a crash left
    if (!log) return std::puts(log.error().message.c_str()), 1;
    auto stream = log->stream("orders");
    if (!stream) stream = log->add_stream("orders", cinnabar::Writers::one);
    if (!stream) return std::puts(stream.error().message.c_str()), 1;
    const char* text = "ten tons of cinnabar";
    auto lsn = stream->append(std::as_bytes(std::span(text, std::strlen(text))));
    if (!lsn) return std::puts(lsn.error().message.c_str()), 1;  // forced: durable at return
    auto reader = stream->read();
    if (!reader) return std::puts(reader.error().message.c_str()), 1;
    for (;;) {
        auto record = reader->next();
        if (!record) return std::puts(record.error().message.c_str()), 1;  // damage, or a gap
        if (!*record) break;                                               // that was the last one
        std::printf("%llu: %.*s\n", static_cast<unsigned long long>((*record)->lsn.value),
                    static_cast<int>((*record)->payload.size()),
                    reinterpret_cast<const char*>((*record)->payload.data()));
    }
}
