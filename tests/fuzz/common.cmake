td_fuzz(fuzz_config tests/fuzz/fuzz_config.c td_config)
td_fuzz(fuzz_config_packed tests/fuzz/fuzz_config_packed.c td_config)
td_fuzz(fuzz_room_msg tests/fuzz/fuzz_room_msg.c td_room)
