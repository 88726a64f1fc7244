/* Any text: a configuration that packs and unpacks to itself, or a reason. */
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include <tandem/config.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct td_config_error error;
	struct td_config *config, *back;
	uint8_t *packed, *again;
	size_t packed_len, again_len;

	config = td_config_parse((const char *)bytes, len, "fuzz", NULL, &error);
	if (config == NULL) {
		td_assert(error.reason[0] != '\0');
		td_assert(memchr(error.key, '\0', sizeof(error.key)) != NULL);
		return 0;
	}
	packed = td_config_pack(config, &packed_len);
	td_assert(packed != NULL);
	back = td_config_unpack(packed, packed_len);
	td_assert(back != NULL);
	td_assert(memcmp(back->digest, config->digest, TD_DIGEST_BYTES) == 0);
	again = td_config_pack(back, &again_len);
	td_assert(again != NULL && again_len == packed_len);
	td_assert(memcmp(again, packed, packed_len) == 0);
	free(packed);
	free(again);
	td_config_free(back);
	td_config_free(config);
	return 0;
}
