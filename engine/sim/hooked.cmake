# The hook build (hooks.hpp): whoever links
#   cinnabar_hooks    compiles its own sources with hooks and gets their runtime
#   cinnabar_hooked   gets the engine compiled so, too, with the simulator beside it
# The hooks stand in the place of ThreadSanitizer's and exclude every sanitizer. They are known to
# work with gcc, whose copies of memory can be renamed in the source.
if(CINNABAR_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
endif()

add_library(cinnabar_hooks STATIC EXCLUDE_FROM_ALL hook_runtime.cpp)
target_include_directories(cinnabar_hooks PRIVATE ${cinnabar_SOURCE_DIR}/engine)
target_compile_features(cinnabar_hooks PUBLIC cxx_std_20)
target_compile_options(cinnabar_hooks INTERFACE
    -fsanitize=thread --param=tsan-instrument-func-entry-exit=0 -Wno-tsan
    -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset -fno-builtin-memcmp
    "SHELL:-include ${CMAKE_CURRENT_SOURCE_DIR}/hooked_calls.hpp")
target_compile_definitions(cinnabar_hooks INTERFACE CINNABAR_HOOKS)
target_link_libraries(cinnabar_hooks PRIVATE cinnabar_flags INTERFACE $<TARGET_FILE:cinnabar_sim>)
set_target_properties(cinnabar_hooks PROPERTIES
                      INTERFACE_LINK_DEPENDS $<TARGET_FILE:cinnabar_sim>)

# Announces its ranges instead; its loads are not reported.
add_library(cinnabar_hooked_checksum OBJECT EXCLUDE_FROM_ALL ../base/crc32c.cpp)
target_compile_definitions(cinnabar_hooked_checksum PRIVATE CINNABAR_HOOKS)

# What the crash tests need of the rooms, as objects: an executable links them ahead of everything
# plain, and no plain library of the engine but the simulator comes behind.
add_library(cinnabar_hooked OBJECT EXCLUDE_FROM_ALL
    ../base/check.cpp ../base/fork_guard.cpp ../base/result.cpp ../base/thread_slot.cpp
    ../seam/site.cpp
    ../format/codec.cpp ../format/verdict.cpp
    ../pool/tables.cpp
    ../log/check_pool.cpp ../log/copy_index.cpp ../log/holder.cpp ../log/reader_core.cpp
    ../log/reserved_space.cpp ../log/scan.cpp)
add_library(cinnabar::hooked ALIAS cinnabar_hooked)
target_link_libraries(cinnabar_hooked
    PUBLIC cinnabar_hooks INTERFACE $<TARGET_OBJECTS:cinnabar_hooked_checksum>)
foreach(name cinnabar_hooked cinnabar_hooked_checksum)
    target_include_directories(${name} PRIVATE ${cinnabar_SOURCE_DIR}/engine
                               PUBLIC ${cinnabar_SOURCE_DIR}/engine/include)
    target_link_libraries(${name} PRIVATE cinnabar_flags PUBLIC tl::expected)
    # clang-tidy sees each file once, as it is shipped.
    set_target_properties(${name} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
endforeach()
