// Has nothing of its own: the headers that nearly every test includes are compiled on its account
// (hansa_test_headers).
