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
install(TARGETS cinnabar_crash_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
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

# Static libraries are named from the top down: each before what it uses.
set(CINNABAR_PC_LIBRARIES)
foreach(room IN LISTS rooms)
    if(NOT room MATCHES "^(sim|explain|crash)$")
        set(CINNABAR_PC_LIBRARIES "-lcinnabar_${room} ${CINNABAR_PC_LIBRARIES}")
    endif()
endforeach()
file(RELATIVE_PATH CINNABAR_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/+$" "" CINNABAR_PC_UP "${CINNABAR_PC_UP}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/cinnabar.pc.in
               ${PROJECT_BINARY_DIR}/package/cinnabar.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/cinnabar.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
