# What an installation holds: the libraries, the public headers, and two descriptions of how to use
# them, for find_package and for pkg-config. Nothing of it names a header of libpmemobj++ or oneTBB.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/cinnabar)
get_property(rooms GLOBAL PROPERTY CINNABAR_ROOMS)
list(REMOVE_ITEM rooms trials)    # of use to this project's own programs alone
list(TRANSFORM rooms PREPEND cinnabar_ OUTPUT_VARIABLE libraries)

install(DIRECTORY ${cinnabar_SOURCE_DIR}/engine/include/cinnabar
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(TARGETS ${libraries} cinnabar_crash_interposer cinnabar_cinnabar EXPORT cinnabar
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET cinnabar_crash_hooks)
    install(TARGETS cinnabar_crash_hooks EXPORT cinnabar
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(FILES ${cinnabar_SOURCE_DIR}/engine/sim/hooked_calls.hpp DESTINATION ${folder})
endif()
install(EXPORT cinnabar NAMESPACE cinnabar:: FILE cinnabar-targets.cmake DESTINATION ${folder})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cinnabar-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/cinnabar-config.cmake INSTALL_DESTINATION ${folder}
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/cinnabar-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/cinnabar-config.cmake
              ${PROJECT_BINARY_DIR}/package/cinnabar-config-version.cmake
        DESTINATION ${folder})

file(RELATIVE_PATH PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/+$" "" PC_UP "${PC_UP}")

# cinnabar_pc(NAME DESCRIPTION text REQUIRES packages LIBS flags [CFLAGS flags])
function(cinnabar_pc NAME)
    cmake_parse_arguments(PARSE_ARGV 1 PC "" "DESCRIPTION" "REQUIRES;LIBS;CFLAGS")
    foreach(words REQUIRES LIBS CFLAGS)
        list(JOIN PC_${words} " " PC_${words})
    endforeach()
    set(PC_NAME ${NAME})
    configure_file(${cinnabar_SOURCE_DIR}/tools/cmake/cinnabar.pc.in
                   ${PROJECT_BINARY_DIR}/package/${NAME}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/package/${NAME}.pc
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# Static libraries are named from the top down: each before what it uses.
set(libraries ${rooms})
list(REVERSE libraries)
list(TRANSFORM libraries PREPEND -lcinnabar_)
set(kit ${libraries})
list(FILTER kit INCLUDE REGEX "_(sim|explain|crash)$")
list(REMOVE_ITEM libraries ${kit})

set(below libpmemobj libpmem tbb)

cinnabar_pc(cinnabar DESCRIPTION "${PROJECT_DESCRIPTION}" REQUIRES ${below} LIBS ${libraries})
cinnabar_pc(cinnabar-crash DESCRIPTION "Crash tests of structures on storage-class memory"
            REQUIRES cinnabar = ${PROJECT_VERSION} LIBS ${kit})
cinnabar_pc(cinnabar-crash-interposer
            DESCRIPTION "Crash tests of structures of others, in files"
            REQUIRES cinnabar-crash = ${PROJECT_VERSION} LIBS -lcinnabar_crash_interposer)
if(TARGET cinnabar_crash_hooks)
    # What the compiler links by default is named, behind all that takes of it, since among that
    # would be libtsan where one command compiles and links.
    get_property(flags GLOBAL PROPERTY CINNABAR_HOOK_FLAGS)
    cinnabar_pc(cinnabar-crash-hooks
                DESCRIPTION "Crash tests that are told of each plain store (gcc)"
                REQUIRES ${below}
                LIBS -nodefaultlibs -lcinnabar_crash_hooks ${kit} ${libraries}
                     -lstdc++ -lm -lgcc_s -lgcc -lc
                CFLAGS ${flags} -DCINNABAR_HOOKS
                       -include \${libdir}/cmake/cinnabar/hooked_calls.hpp)
endif()
