package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesSettings(t *testing.T) {
	good := []string{"SHUKE_S3_URL=https://s3.cn-north-1.amazonaws.com.cn", "SHUKE_S3_BUCKET=retail-files", "SHUKE_S3_ACCESS_KEY_ID=AKID", "SHUKE_S3_SECRET_ACCESS_KEY=very-secret-key", "SHUKE_S3_PREFIX=shuke/"}
	c, err := load(good)
	require.NoError(t, err)
	require.Equal(t, "us-east-1", c.S3Region)
	require.Equal(t, 10, c.AttachmentMiB)
	var out strings.Builder
	require.NoError(t, c.WriteSummary(&out))
	require.NotContains(t, out.String(), "very-secret-key")
	for setting, says := range map[string]string{
		"SHUKE_S3_URL=http://files.example.com": "plain http", "SHUKE_S3_URL=https://h/bucket": "SHUKE_S3_BUCKET", "SHUKE_S3_URL=ftp://h": "scheme and host", "SHUKE_S3_URL=": "SHUKE_S3_URL is missing",
		"SHUKE_S3_BUCKET=A": "SHUKE_S3_BUCKET", "SHUKE_S3_SECRET_ACCESS_KEY=": "needed", "SHUKE_S3_PREFIX=shuke": "ends with a slash",
		"SHUKE_ATTACHMENT_MAX_MIB=31": "use 1 to 30", "SHUKE_ATTACHMENT_MAX_MEGAPIXELS=0": "use 1 to 200",
	} {
		_, err := load(append(good[:len(good):len(good)], setting))
		require.ErrorContains(t, err, says, setting)
		require.NotContains(t, err.Error(), "very-secret-key", setting)
	}
}
