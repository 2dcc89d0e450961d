// What the image handler needs of libvips, with a fixed number of arguments: libvips' own functions are variadic,
// which Swift cannot call. Every function may be called from any thread, and returns with nothing left to free but the
// bytes of an `images_output`.

#ifndef CIMAGES_H
#define CIMAGES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    IMAGES_OK = 0,
    // No loader that is allowed knows the format.
    IMAGES_UNSUPPORTED = 1,
    // The bytes begin like an image, and go wrong later.
    IMAGES_DAMAGED = 2,
    // `is_cancelled` said so.
    IMAGES_CANCELLED = 3,
    // libvips cannot work: it did not start, or had no memory.
    IMAGES_FAILED = 4,
} images_status;

typedef enum {
    IMAGES_JPEG = 0,
    IMAGES_PNG = 1,
    IMAGES_WEBP = 2,
} images_format;

enum { IMAGES_MESSAGE_BYTES = 256 };

// What the first bytes say. Nothing is decoded for it.
typedef struct {
    // As stored: before `orientation` is applied.
    int width;
    int height;
    // EXIF's: 1 to 8.
    int orientation;
} images_header;

typedef struct {
    // The size to scale to, after the orientation is applied. Proportions are the caller's affair.
    int width;
    int height;
    // What is cut out of the middle of that; the same as above for all of it.
    int crop_width;
    int crop_height;
    images_format format;
    // 1 to 100; PNG has none.
    int quality;
    // Asked now and then, on threads of libvips.
    bool (*is_cancelled)(void *context);
    void *context;
} images_order;

typedef struct {
    // Released with `images_release`.
    void *bytes;
    size_t length;
    int width;
    int height;
} images_output;

// Starts libvips once for the process; cheap when repeated. Only loaders for JPEG, PNG, WebP and GIF stay usable.
images_status images_start(void);

images_status images_probe(
    const void *bytes, size_t length, images_header *header, char message[IMAGES_MESSAGE_BYTES]);

// Decodes, turns upright, converts to sRGB, scales, crops and encodes without metadata. The caller has checked by
// `images_probe` that the image is not too large. JPEG has no transparency: it is laid on white.
images_status images_render(
    const void *bytes, size_t length, const images_order *order, images_output *output,
    char message[IMAGES_MESSAGE_BYTES]);

void images_release(void *bytes);

#endif
