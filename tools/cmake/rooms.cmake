# The rooms of the engine, lowest first, and what each may use: the one table from which the
# libraries are linked, the layering tests are made and the package is exported. An arrow that is
# not here does not exist; adding one is a decision about the design, not a fix for a build.
#
#   cinnabar_may_use(ROOM rooms... [EXTERNAL targets...])
#
# A room may also use whatever the rooms it names may use, but not their external libraries.
set_property(GLOBAL PROPERTY CINNABAR_TABLE "")

function(cinnabar_may_use ROOM)
    cmake_parse_arguments(PARSE_ARGV 1 MAY "" "" "EXTERNAL")
    set(below)
    foreach(room IN LISTS MAY_UNPARSED_ARGUMENTS)
        get_property(further GLOBAL PROPERTY CINNABAR_BELOW_${room})
        list(APPEND below ${room} ${further})
    endforeach()
    list(REMOVE_DUPLICATES below)
    set_property(GLOBAL APPEND PROPERTY CINNABAR_TABLE ${ROOM})
    set_property(GLOBAL PROPERTY CINNABAR_BELOW_${ROOM} ${below})
    set_property(GLOBAL PROPERTY CINNABAR_EXTERNAL_${ROOM} ${MAY_EXTERNAL})
endfunction()

cinnabar_may_use(base)
cinnabar_may_use(seam base)
cinnabar_may_use(format base)
cinnabar_may_use(medium seam format EXTERNAL PkgConfig::PMEM)
cinnabar_may_use(pool medium EXTERNAL PkgConfig::PMEMOBJ)
cinnabar_may_use(log pool EXTERNAL TBB::tbb Threads::Threads)
cinnabar_may_use(sim log EXTERNAL Threads::Threads)
cinnabar_may_use(explain sim)
cinnabar_may_use(crash explain EXTERNAL PkgConfig::PMEM)
cinnabar_may_use(trials explain)
