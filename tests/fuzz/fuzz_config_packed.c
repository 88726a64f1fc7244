/* Any bytes: no configuration, or one that packs to a form that unpacks to itself. */
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include <tandem/config.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct td_config *config = td_config_unpack(bytes, len), *back;
	uint8_t *packed, *again;
	size_t packed_len, again_len;

	if (config == NULL)
		return 0;
	packed = td_config_pack(config, &packed_len);
	td_assert(packed != NULL);
	back = td_config_unpack(packed, packed_len);
	td_assert(back != NULL);
	again = td_config_pack(back, &again_len);
	td_assert(again != NULL && again_len == packed_len);
	td_assert(memcmp(again, packed, packed_len) == 0);
	free(packed);
	free(again);
	td_config_free(back);
	td_config_free(config);
	return 0;
}
