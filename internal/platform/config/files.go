package config

import (
	"fmt"
	"net/url"
	"regexp"
)

// Files are the settings of where uploads, exports and attachments lie.
type Files struct {
	// S3URL is the address of an object store that speaks S3, without the bucket;
	// empty means the folder files below DataDir.
	S3URL string `env:"SHUKE_S3_URL"`
	// S3Bucket is the bucket, which must exist.
	S3Bucket string `env:"SHUKE_S3_BUCKET"`
	// S3Region is the region that requests are signed for.
	S3Region string `env:"SHUKE_S3_REGION" envDefault:"us-east-1"`
	// S3AccessKey and S3SecretKey may read, write and delete objects there.
	S3AccessKey string `env:"SHUKE_S3_ACCESS_KEY_ID"`
	S3SecretKey Secret `env:"SHUKE_S3_SECRET_ACCESS_KEY"`
	// S3Prefix is put before the name of every object.
	S3Prefix string `env:"SHUKE_S3_PREFIX"`
	// S3VirtualHosts asks at bucket.host instead of host/bucket.
	S3VirtualHosts bool `env:"SHUKE_S3_VIRTUAL_HOSTS"`

	// AttachmentMiB is the largest file that can be attached to a customer, in MiB.
	AttachmentMiB int `env:"SHUKE_ATTACHMENT_MAX_MIB" envDefault:"10"`
	// AttachmentMegapixels is the largest picture, in millions of pixels.
	AttachmentMegapixels int `env:"SHUKE_ATTACHMENT_MAX_MEGAPIXELS" envDefault:"30"`
}

// largestAttachment is what the contract lets through, in MiB.
const largestAttachment = 30

var (
	bucketName   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	objectPrefix = regexp.MustCompile(`^([A-Za-z0-9._-]+/)*$`)
)

func (c *Config) filesProblems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if c.AttachmentMiB < 1 || c.AttachmentMiB > largestAttachment {
		add("SHUKE_ATTACHMENT_MAX_MIB is %d; use 1 to %d", c.AttachmentMiB, largestAttachment)
	}
	if c.AttachmentMegapixels < 1 || c.AttachmentMegapixels > 200 {
		add("SHUKE_ATTACHMENT_MAX_MEGAPIXELS is %d; use 1 to 200, at up to 18 bytes of memory a pixel", c.AttachmentMegapixels)
	}
	if c.S3URL == "" {
		if c.S3Bucket != "" || c.S3AccessKey != "" || c.S3SecretKey != "" {
			add("SHUKE_S3_URL is missing; set the address of the object store, such as https://s3.cn-north-1.amazonaws.com.cn, or unset the other SHUKE_S3_ settings")
		}
		return found
	}
	u, err := url.Parse(c.S3URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || (u.Path != "" && u.Path != "/") || u.User != nil || u.RawQuery != "":
		add("SHUKE_S3_URL must be scheme and host of the object store, such as https://s3.cn-north-1.amazonaws.com.cn; the bucket goes into SHUKE_S3_BUCKET")
	case u.Scheme == "http" && c.Env == Production && !isLoopback(u.Hostname()):
		add("SHUKE_S3_URL is plain http; write https://, or set SHUKE_ENV=development")
	}
	if !bucketName.MatchString(c.S3Bucket) {
		add("SHUKE_S3_BUCKET is %q; name the bucket, 3 to 63 small letters, digits, dots and dashes", c.S3Bucket)
	}
	if c.S3AccessKey == "" || c.S3SecretKey == "" {
		add("SHUKE_S3_ACCESS_KEY_ID and SHUKE_S3_SECRET_ACCESS_KEY are needed with SHUKE_S3_URL")
	}
	if !objectPrefix.MatchString(c.S3Prefix) {
		add("SHUKE_S3_PREFIX is %q; use a path such as shuke/ that ends with a slash", c.S3Prefix)
	}
	return found
}
