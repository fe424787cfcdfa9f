"""What the pictures of a trial are worth: broken or sound, close to their text, close to the subject."""
