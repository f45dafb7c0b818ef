/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server on standalone Asio, in the style of its examples: a session that keeps itself alive through the
 * handlers of async_read_some and async_write, which take turns, so that a client that does not read is not read
 * either. One thread runs the io_context, and it is told so. */
#include <array>
#include <asio.hpp>
#include <memory>
#include <utility>

#include "listen.h"

using asio::ip::tcp;

class session : public std::enable_shared_from_this<session>
{
  public:
    explicit session(tcp::socket socket) : socket_(std::move(socket))
    {
    }

    void read()
    {
        socket_.async_read_some(asio::buffer(bytes_), [self = shared_from_this()](std::error_code error, size_t len) {
            if (!error) self->write(len);
        });
    }

  private:
    void write(size_t len)
    {
        asio::async_write(socket_, asio::buffer(bytes_, len),
                          [self = shared_from_this()](std::error_code error, size_t) {
                              if (!error) self->read();
                          });
    }

    tcp::socket socket_;
    std::array<unsigned char, BENCH_READ_BYTES> bytes_;
};

static void accept(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](std::error_code error, tcp::socket socket) {
        if (error && error != asio::error::connection_aborted) throw std::system_error(error, "accept");
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket))->read();
        }
        accept(acceptor);
    });
}

int main(int argc, char **argv)
{
    asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::v4(), bench_listen(argc, argv));
    accept(acceptor);
    context.run();
}
