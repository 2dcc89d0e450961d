#include "CImages.h"

#include <pthread.h>
#include <string.h>
#include <vips/vips.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool started = false;

// What libvips and GLib would print about a stranger's image: what matters comes back as an error.
static void discard(const char *domain, GLogLevelFlags level, const char *text, void *context) {
    (void)domain, (void)level, (void)text, (void)context;
}

static void start(void) {
    if (vips_init("apus") != 0) return;
    g_log_set_handler("VIPS", G_LOG_LEVEL_MASK, discard, NULL);
    // Every loader is barred but those of formats that browsers show: few, fuzzed by many, maintained.
    vips_operation_block_set("VipsForeignLoad", TRUE);
    vips_operation_block_set("VipsForeignLoadJpeg", FALSE);
    vips_operation_block_set("VipsForeignLoadPng", FALSE);
    vips_operation_block_set("VipsForeignLoadWebp", FALSE);
    vips_operation_block_set("VipsForeignLoadNsgif", FALSE);
    vips_block_untrusted_set(TRUE);
    // The caller runs several images at a time; each takes one thread. Results of operations are not kept.
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    started = true;
}

images_status images_start(void) {
    pthread_once(&once, start);
    return started ? IMAGES_OK : IMAGES_FAILED;
}

// Takes libvips' message. Its buffer is one for the whole process: when two images fail at once, one may get both
// texts.
static void take_message(char message[IMAGES_MESSAGE_BYTES]) {
    char *text = vips_error_buffer_copy();
    g_strlcpy(message, g_strchomp(text), IMAGES_MESSAGE_BYTES);
    g_free(text);
}

// libvips also finds loaders that are barred.
static bool may_use(const char *loader) {
    GType type = loader != NULL ? g_type_from_name(loader) : 0;
    if (type == 0) return false;
    VipsOperationClass *operation = g_type_class_ref(type);
    bool barred = (operation->flags & VIPS_OPERATION_BLOCKED) != 0;
    g_type_class_unref(operation);
    return !barred;
}

static images_status probe(const void *bytes, size_t length, images_header *header, char message[]) {
    if (!may_use(vips_foreign_find_load_buffer(bytes, length))) {
        take_message(message);
        return IMAGES_UNSUPPORTED;
    }
    VipsImage *image = vips_image_new_from_buffer(bytes, length, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (image == NULL) {
        take_message(message);
        return IMAGES_DAMAGED;
    }
    header->width = vips_image_get_width(image);
    header->height = vips_image_get_height(image);
    header->orientation = vips_image_get_orientation(image);
    g_object_unref(image);
    return IMAGES_OK;
}

images_status images_probe(const void *bytes, size_t length, images_header *header, char message[]) {
    message[0] = 0;
    if (images_start() != IMAGES_OK) return IMAGES_FAILED;
    images_status status = probe(bytes, length, header, message);
    vips_thread_shutdown();
    return status;
}

static void check_cancellation(VipsImage *image, VipsProgress *progress, void *context) {
    (void)progress;
    const images_order *order = context;
    if (order->is_cancelled(order->context)) vips_image_set_kill(image, TRUE);
}

// Replaces *image by `next`, the result of an operation on it.
static void advance(VipsImage **image, VipsImage *next) {
    g_object_unref(*image);
    *image = next;
}

static int encode(VipsImage *image, const images_order *order, images_output *output) {
    void **bytes = &output->bytes;
    size_t *length = &output->length;
    switch (order->format) {
    case IMAGES_JPEG:
        return vips_jpegsave_buffer(
            image, bytes, length, "Q", order->quality, "strip", TRUE, "optimize_coding", TRUE, NULL);
    case IMAGES_PNG: return vips_pngsave_buffer(image, bytes, length, "strip", TRUE, NULL);
    case IMAGES_WEBP: return vips_webpsave_buffer(image, bytes, length, "Q", order->quality, "strip", TRUE, NULL);
    }
    vips_error("apus", "unknown format");
    return -1;
}

// Scales and crops *image, which is replaced, then encodes it.
static int finish(VipsImage **image, const images_order *order, images_output *output) {
    VipsImage *next;
    int width = vips_image_get_width(*image), height = vips_image_get_height(*image);
    if (order->crop_width < width || order->crop_height < height) {
        int left = (width - order->crop_width) / 2, top = (height - order->crop_height) / 2;
        if (vips_extract_area(*image, &next, left, top, order->crop_width, order->crop_height, NULL) != 0) return -1;
        advance(image, next);
    }
    if (order->format == IMAGES_JPEG && vips_image_hasalpha(*image)) {
        VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
        int failed = vips_flatten(*image, &next, "background", white, NULL);
        vips_area_unref(VIPS_AREA(white));
        if (failed != 0) return -1;
        advance(image, next);
    }
    output->width = vips_image_get_width(*image);
    output->height = vips_image_get_height(*image);
    vips_image_set_progress(*image, TRUE);
    g_signal_connect(*image, "eval", G_CALLBACK(check_cancellation), (void *)order);
    return encode(*image, order, output);
}

static bool has_profile(const void *bytes, size_t length) {
    VipsImage *image = vips_image_new_from_buffer(bytes, length, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (image == NULL) return false;
    bool found = vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0;
    g_object_unref(image);
    return found;
}

// The savers' own stripping leaves profiles in some formats; all that remains is sRGB, which needs none.
static int strip(VipsImage **image) {
    VipsImage *next;
    if (vips_copy(*image, &next, NULL) != 0) return -1;
    vips_image_remove(next, VIPS_META_ICC_NAME);
    vips_image_remove(next, VIPS_META_EXIF_NAME);
    advance(image, next);
    return 0;
}

images_status images_render(
    const void *bytes, size_t length, const images_order *order, images_output *output, char message[]) {
    message[0] = 0;
    memset(output, 0, sizeof *output);
    if (images_start() != IMAGES_OK) return IMAGES_FAILED;
    VipsImage *image = NULL;
    // The thumbnailer would also "convert" an image without a profile, and shift its colours.
    const char *profile = has_profile(bytes, length) ? "srgb" : NULL;
    // The thumbnailer decodes no more of a JPEG or WebP than the size needs. It takes its input without writing to it.
    int failed = vips_thumbnail_buffer(
        (void *)bytes, length, &image, order->width, "height", order->height, "size", VIPS_SIZE_FORCE,
        "option_string", "fail_on=error", profile != NULL ? "export_profile" : NULL, profile, NULL);
    if (failed == 0) failed = strip(&image);
    if (failed == 0) failed = finish(&image, order, output);
    if (image != NULL) g_object_unref(image);
    images_status status = IMAGES_OK;
    if (failed != 0) {
        status = order->is_cancelled(order->context) ? IMAGES_CANCELLED : IMAGES_DAMAGED;
        take_message(message);
    }
    vips_thread_shutdown();
    return status;
}

void images_release(void *bytes) { g_free(bytes); }
