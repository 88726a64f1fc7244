# Writes the copy of a source with one mutation in it:
#   cmake -DMUTATION=FILE.cmake -DSOURCE_DIR=... -DOUT_DIR=... -P mutate.cmake
# A mutation whose line is not there exactly once is an error: it would test nothing.
include(${MUTATION})
file(READ ${SOURCE_DIR}/${FILE} text)
string(FIND "${text}" "${OLD}" first)
string(FIND "${text}" "${OLD}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
  message(FATAL_ERROR "${MUTATION}: ${FILE} does not have its lines exactly once")
endif()
string(REPLACE "${OLD}" "${NEW}" text "${text}")
file(WRITE ${OUT_DIR}/${FILE} "${text}")
