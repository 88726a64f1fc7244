td_test(sim_sync tests/sim/sim_sync.c LINK sync_core)

# Seeds that found a bug once:
# 26776  the kernel refused an update as Backup; after the takeover the retry put the older
#        state back.
foreach(seed 26776)
  add_test(NAME sim_sync_seed_${seed} COMMAND sim_sync --seed ${seed})
  set_tests_properties(sim_sync_seed_${seed} PROPERTIES LABELS sim)
endforeach()
